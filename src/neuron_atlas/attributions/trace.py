"""One clean pass over a batch of points, and what is kept of it to resume at any layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from neuron_atlas.attributions.questions import Point
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.sight import PositionedCache

Factors = Float[Tensor, "point layer neuron"]
ByLayer = dict[int, Tensor]


@dataclass(frozen=True)
class Trace:
    """What is kept of one clean pass over a batch of points.

    Attributes:
        position: The answer position of each point.
        token: Where the answer position is among the tokens of a row.
        outputs: Output of each block, at the answer position (decoder) or whole (encoder).
        values: The hidden units at the answer position.
        written: What the down-projections made of them: their output, each on its layer's device.
        sums: The sum of that output and the residual, where a family norms the sum; else empty.
        calls: The arguments of each block, its input first.
        keys: Keys and values of each layer's tokens before the answer position; empty in encoders.
        before: Which tokens stand before the answer position.
        keep: Factors on the hidden units at the answer position; None leaves them.
    """

    position: Int[Tensor, " point"]
    token: Int[Tensor, " point"]
    outputs: Sequence[Float[Tensor, "point token d_model"]]
    values: Float[Tensor, "point layer neuron"]
    written: Sequence[Float[Tensor, "point d_model"]]
    sums: Sequence[Float[Tensor, "point d_model"]]
    calls: Sequence[hooks.Call]
    keys: Sequence[tuple[Tensor, Tensor]]
    before: Bool[Tensor, "point position"]
    keep: Factors | None

    @property
    def output(self) -> Float[Tensor, "point d_model"]:
        """Output of the last block at the answer position, before the final norm."""
        return at(self.outputs[-1], self.token)


@torch.no_grad()
def record_trace(
    lm: LanguageModel, batch: Sequence[Point], *, keep: Factors | None = None
) -> Trace:
    """Run the model once over the points, and keep what rows need to enter at any layer.

    Points that read the same, such as those of several answers to one prompt, run once.

    Args:
        lm: The model.
        batch: The points.
        keep: Factors on the hidden units at the answer position; None leaves them.
    """
    read = list(dict.fromkeys((p.ids, p.position) for p in batch))
    if keep is None and len(read) < len(batch):
        first = {(p.ids, p.position): p for p in batch}
        index = torch.tensor([read.index((p.ids, p.position)) for p in batch], device=lm.device)
        return _repeated(record_trace(lm, [first[key] for key in read]), index)
    ids, mask, position = _padded(batch, lm.device)
    places = torch.arange(ids.shape[1], device=lm.device).expand_as(ids)
    encoder = lm.architecture.encoder
    cache = None if encoder else PositionedCache()
    with _recorded(lm, position, keep) as (values, written, summed, calls):
        last = lm.hidden(ids, places, mask if encoder else _causal(mask), cache=cache)
    whole = [call.args[0] for call in calls[1:]] + ([] if lm.ending else [last])
    return Trace(
        position=position,
        token=position if encoder else torch.zeros_like(position),
        outputs=whole if encoder else [at(x, position)[:, None] for x in whole],
        values=lm.stacked(values, 1),
        written=[written[i] for i in range(lm.n_layers)],
        sums=[summed[i] for i in range(len(summed))],
        calls=calls[: lm.n_layers],
        keys=[] if cache is None else _keys(cache),
        before=places < position[:, None],
        keep=keep,
    )


def _repeated(trace: Trace, index: Int[Tensor, " repeated"]) -> Trace:
    """Return the trace of the same points, some of them more than once."""
    n = len(trace.position)

    def rows(value: Tensor) -> Tensor:
        return value[index.to(value.device)]

    def repeat(value: Any) -> Any:
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(map(repeat, value))
        batched = isinstance(value, Tensor) and value.ndim > 1 and len(value) == n
        return rows(value) if batched else value

    return Trace(
        position=trace.position[index],
        token=trace.token[index],
        outputs=[rows(x) for x in trace.outputs],
        values=trace.values[index],
        written=[rows(x) for x in trace.written],
        sums=[rows(x) for x in trace.sums],
        calls=[
            hooks.Call(repeat(args), {name: repeat(x) for name, x in kwargs.items()})
            for args, kwargs in trace.calls
        ],
        keys=[(rows(keys), rows(values)) for keys, values in trace.keys],
        before=trace.before[index],
        keep=None,
    )


@contextmanager
def _recorded(
    lm: LanguageModel, position: Int[Tensor, " point"], keep: Factors | None
) -> Iterator[tuple[ByLayer, ByLayer, ByLayer, list[hooks.Call]]]:
    """Scale the hidden units by `keep`; yield what fills with a pass's values, as in `Trace`."""
    modules, sums = site_modules(lm, "hidden"), _sum_norms(lm)
    scale = {} if keep is None else {i: _scaled(position, keep[:, i]) for i in range(lm.n_layers)}

    def answer(x: Tensor) -> Tensor:
        return at(x, position).clone()  # a family may add to its outputs in place

    with (
        hooks.edit(modules, scale),
        hooks.record(modules, answer) as values,
        hooks.record([(m, False) for m, _ in modules], answer) as written,
        hooks.record([(m, True) for m in sums], answer) as summed,
        hooks.record_calls([*lm.blocks, *lm.ending[:1]]) as calls,
    ):
        yield values, written, summed, calls


def _causal(mask: Bool[Tensor, "point position"]) -> Bool[Tensor, "point position position"]:
    """Return what each token may attend to: earlier tokens and itself, but no padding."""
    width = mask.shape[1]
    return mask.new_ones(width, width).tril() & mask[:, None]


def at(
    x: Shaped[Tensor, "sequence token *rest"], token: Int[Tensor, " sequence"]
) -> Shaped[Tensor, "sequence *rest"]:
    """Return what each sequence has at one of its tokens: the only one, if it was cut to that."""
    if x.shape[1] == 1:
        return x[:, 0]
    return x[torch.arange(len(x), device=x.device), token.to(x.device)]


def token_mask(n_tokens: int, token: Int[Tensor, " sequence"]) -> Bool[Tensor, "sequence token"]:
    """Return a mask that is True at the given token of each sequence, on the token's device."""
    return torch.arange(n_tokens, device=token.device) == token[:, None]


def _keys(cache: PositionedCache) -> list[tuple[Tensor, Tensor]]:
    layers: list[Any] = list(cache.layers)
    return [(layer.keys, layer.values) for layer in layers]


def _padded(batch: Sequence[Point], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(p.ids) for p in batch)
    ids = torch.tensor([[*p.ids, *[0] * (width - len(p.ids))] for p in batch])
    length = torch.tensor([len(p.ids) for p in batch])
    position = torch.tensor([p.position for p in batch])
    return ids.to(device), (torch.arange(width) < length[:, None]).to(device), position.to(device)


def _sum_norms(lm: LanguageModel) -> list[nn.Module]:
    path = lm.architecture.sum_norm
    return [] if path is None else [block.get_submodule(path) for block in lm.blocks]


def _scaled(position: Int[Tensor, " point"], factor: Float[Tensor, "point neuron"]) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        there = token_mask(x.shape[1], position.to(x.device))[..., None]
        return torch.where(there, x * factor.to(x)[:, None], x)

    return change
