"""A block called on many rows per point, with the arguments that it had in a clean pass.

The blocks are the model's own modules; only their arguments (masks, rotary embeddings, keys and
values) are brought into the rows' shape. No attention is re-implemented here.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache

from neuron_atlas.attributions.trace import Trace, at
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.sight import opened


def call(
    lm: LanguageModel, trace: Trace, layer: int, rows: Float[Tensor, "point row token d_model"]
) -> Float[Tensor, "point row left d_model"]:
    """Return a block's output on rows that take the place of its clean input.

    All tokens stay, except in an encoder's last block: after its attention only the answer position
    goes on, where `Architecture` names the attention's end, because nothing else is read.
    """
    n_points, n_rows, n_tokens, d_model = rows.shape
    args, kwargs = trace.calls[layer]
    told: dict[str, Tensor] = {}
    if lm.architecture.encoder:
        turn: _Whole | _Last = _Whole(n_points, n_rows)
        flat = rows.reshape(n_points * n_rows, n_tokens, d_model)
    else:
        told = _told(lm, trace, layer, n_rows)
        turn = _Last(trace, layer, n_rows, told["attention_mask"])
        flat = rows.reshape(n_points, n_rows, d_model)
    token = trace.token.repeat_interleave(n_rows)
    ends = _attention_end(lm) if layer + 1 == lm.n_layers else []
    named = {name: turn(value) for name, value in kwargs.items() if name not in told}
    named |= {name: value for name, value in told.items() if name in kwargs}
    with (
        hooks.edit_arguments(ends, lambda x: at(x, token)[:, None]),
        opened(lm.blocks[layer : layer + 1], lm.architecture.own_mask),
    ):
        output = lm.blocks[layer](flat, *map(turn, args[1:]), **named)
    result: Tensor = output[0] if isinstance(output, tuple) else output
    return result.view(n_points, n_rows, -1, d_model)


def _attention_end(lm: LanguageModel) -> list[torch.nn.Module]:
    path = lm.architecture.attention_end
    return [] if path is None else [lm.blocks[-1].get_submodule(path)]


def _told(lm: LanguageModel, trace: Trace, layer: int, n_rows: int) -> dict[str, Tensor]:
    """Let each row see the tokens before the answer position and itself."""
    before, width = trace.before, trace.before.shape[1]
    own = torch.eye(n_rows, dtype=torch.bool, device=before.device)
    seen = [before[:, None].expand(-1, n_rows, -1), own.expand(len(before), n_rows, n_rows)]
    places = torch.arange(width, device=before.device).expand(len(before), width)
    queries = trace.position[:, None].expand(-1, n_rows)
    return lm.sight.arguments(
        layer,
        torch.cat(seen, 2),
        queries,
        torch.cat([places, queries], 1),
        length=width,
        dtype=lm.dtype,
    )


class _Whole:
    """Turns an encoder block's arguments from one sequence per point to one per row."""

    def __init__(self, n_points: int, n_rows: int) -> None:
        self._n_points, self._n_rows = n_points, n_rows

    def __call__(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self, value))
        if isinstance(value, Tensor) and len(value) == self._n_points > 1:
            return value.repeat_interleave(self._n_rows, 0)
        return value


class _Last:
    """Turns a decoder block's arguments from all positions to rows at the answer position."""

    def __init__(self, trace: Trace, layer: int, n_rows: int, mask: Tensor) -> None:
        self._trace, self._layer, self._n_rows, self._mask = trace, layer, n_rows, mask

    def __call__(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self, value))
        if isinstance(value, Cache):
            return _Prefix(*self._trace.keys[self._layer])
        if not isinstance(value, Tensor):
            return value
        return self._mask if value.ndim == 4 else self._repeated(value)

    def _repeated(self, value: Tensor) -> Tensor:
        """Give every row the answer position's value, such as its rotary embedding."""
        each = value.expand(len(self._trace.position), *value.shape[1:])
        here = at(each, self._trace.position)[:, None]
        return here.expand(-1, self._n_rows, *value.shape[2:])


class _Prefix(Cache):
    """Puts the prompt's keys and values before the rows' own, and keeps nothing."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__(layers=[])
        self._keys, self._values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return (
            torch.cat([self._keys, key_states], 2),
            torch.cat([self._values, value_states], 2),
        )
