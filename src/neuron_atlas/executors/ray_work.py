"""How work travels to Ray's workers: what it was made of, without weights and without caches."""

from dataclasses import fields, is_dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from ray import cloudpickle
from torch import Tensor, nn


def packed(work: object) -> bytes:
    """Return work as bytes, by Ray's own means.

    A model travels as the name of its folder; see `LanguageModel`. What a frozen dataclass has
    derived from its fields stays here, since it may refer to weights, and is derived again there. A
    tensor travels without the larger one that it is a part of.

    Raises:
        TypeError: the work holds a module of a network, whose weights would travel with it.
    """
    buffer = BytesIO()
    _Packer(buffer).dump(work)
    return buffer.getvalue()


def unpacked(work: bytes) -> Any:
    """Return the work that `packed` made bytes of."""
    return cloudpickle.loads(work)


class _Packer(cloudpickle.CloudPickler):  # type: ignore[misc]
    def reducer_override(self, value: Any) -> Any:
        """Say how a value is made again; leave it to Ray if it is neither frozen nor a module."""
        kind = type(value)
        if isinstance(value, nn.Module | nn.Parameter):
            raise TypeError(
                f"a {kind.__name__} of a network cannot be sent to Ray's workers; "
                "what is sent must reach the model by its LanguageModel"
            )
        if kind is Tensor and value.device.type == "cpu" and not value.requires_grad:
            order = sorted(range(value.dim()), key=value.stride, reverse=True)
            if value.permute(order).is_contiguous():
                return _tensor, (_array(value.permute(order)), value.dtype, order)
        if is_dataclass(kind) and kind.__reduce__ is object.__reduce__ and _derived(value):
            known = vars(value)
            return _made, (kind, {f.name: known[f.name] for f in fields(kind)})
        return super().reducer_override(value)


def _array(value: Tensor) -> np.ndarray:
    """Return a tensor's own numbers, without those of a larger one that it is a view of."""
    bits = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
    whole = value.untyped_storage().nbytes() == value.nbytes
    return bits.numpy() if whole else np.array(bits.numpy())


def _tensor(array: np.ndarray, dtype: torch.dtype, order: list[int]) -> Tensor:
    """Return a tensor that lies in memory as the one did, since sums may depend on it."""
    value = torch.from_numpy(array).view(dtype)
    return value.permute(np.argsort(order).tolist())


def _derived(value: Any) -> bool:
    """Return whether a frozen dataclass holds what is no field of it, as cached properties are."""
    frozen = type(value).__dataclass_params__.frozen
    return frozen and bool(set(getattr(value, "__dict__", ())) - {f.name for f in fields(value)})


def _made(kind: type, known: dict[str, object]) -> object:
    value: object = object.__new__(kind)
    vars(value).update(known)
    return value
