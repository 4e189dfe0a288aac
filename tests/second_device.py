"""A second device that a machine without a GPU has: its tensors are the CPU's, kept apart.

Run as a program, because torch knows one such device per process: it prints, as JSON, how far each
part of `everything` is off with a model over two devices. As on a GPU, an operation on tensors of
different devices is an error, but for numbers and for indices from the CPU.
"""

import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import dispatch_model
from torch import Tensor, nn
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map

import everything
import tiny
from neuron_atlas.devices.spreading import placed
from neuron_atlas.model import kernels
from neuron_atlas.model.language_model import LanguageModel

NAME = "far"
LAST_THERE, LAST_FETCHED = "all blocks but one there", "all there, the last block fetched"
WAYS = (LAST_THERE, LAST_FETCHED)
COPIES = {"aten::copy_", "aten::_to_copy"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class Far(Tensor):
    """A tensor of the second device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> "Far":
        """Wrap a tensor of the CPU; a wrapped one, such as a parameter, stays as it is."""
        if isinstance(inner, Far):
            return inner
        if inner.is_meta:
            return nn.Parameter(inner, requires_grad)  # type: ignore[return-value]
        made: Far = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    def tolist(self) -> Any:
        """Return the numbers."""
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation on the second device."""
        del types
        return operate(func, *args, **(kwargs or {}))


def operate(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operation on the CPU, and give its result to the second device if that ran it."""
    name, (flat, _) = func._schema.name, tree_flatten((args, kwargs))
    _require_one_device(name, args, flat)
    if name == "aten::copy_":
        _near(args[0]).copy_(_near(args[1]))
        return args[0]
    asked = kwargs.get("device")
    far = (
        any(isinstance(x, Far) for x in flat) if asked is None else torch.device(asked).type == NAME
    )
    own = {**kwargs, **({"device": torch.device("cpu")} if asked is not None and far else {})}
    out = func(*tree_map(_near, args), **tree_map(_near, own))
    given = {id(x.inner): x for x in flat if isinstance(x, Far)}

    def back(x: Any) -> Any:
        if not isinstance(x, Tensor) or id(x) in given:
            return given.get(id(x), x) if isinstance(x, Tensor) else x
        return Far(x) if far else x

    return tree_map(back, out)


def _require_one_device(name: str, args: Any, flat: Any) -> None:
    if name in COPIES:
        return
    among = args[:1] + args[2:] if name in INDEXED and isinstance(args[0], Far) else flat
    arrays = [x for x in tree_flatten(among)[0] if isinstance(x, Tensor) and x.ndim]
    if len({isinstance(x, Far) for x in arrays}) > 1:
        raise RuntimeError(f"{name}: expected all tensors on one device, got the CPU and {NAME}")


def _near(x: Any) -> Any:
    return x.inner if isinstance(x, Far) else x


def over_two(lm: LanguageModel, way: str) -> None:
    """Spread a model over the CPU and the second device."""
    paths = [lm.architecture.block.format(i) for i in range(lm.n_layers)]
    where: dict[str, Any] = placed(lm.network, paths, {"cpu": 1 << 30})
    if way == LAST_THERE:
        where |= dict.fromkeys(paths[1:], f"{NAME}:0")
        dispatch_model(lm.network, where, main_device="cpu")
    else:  # as of a GPU, which fetches a block from main memory when it runs
        where = dict.fromkeys(where, f"{NAME}:0") | {paths[-1]: "cpu"}
        dispatch_model(lm.network, where)


def main() -> None:
    """Print the gaps, by family, way of spreading, and part; "refused" where an edit is."""
    cases = [(f, way, model(f), model(f)) for f in sys.argv[1:] for way in WAYS]
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(operate, "PrivateUse1")
    torch.tensor = _tensor
    found: dict[str, Any] = {}
    for family, way, plain, spread in cases:
        over_two(spread, way)
        found[f"{family}: {way}: devices"] = [str(device) for device in spread.devices]
        for part in everything.PARTS:
            try:
                gap: Any = everything.gap(plain, spread, part)
            except Exception as error:
                traceback.print_exc()
                gap = f"{type(error).__name__}: {error}"
            found[f"{family}: {way}: {part}"] = gap
    sys.stdout.write(json.dumps(found))


def _tensor(data: Any, *, device: Any = None, _make: Any = torch.tensor, **how: Any) -> Tensor:
    """Make a tensor of numbers, which torch cannot do on such a device itself."""
    made: Tensor = _make(data, **how)
    return made if device is None else made.to(device)


def model(family: str) -> LanguageModel:
    """Return a tiny model that attends with matrix products, alike on both devices."""
    made = tiny.random_model(family)
    made.network.set_attn_implementation(kernels.NAME)
    return made


if __name__ == "__main__":
    main()
