"""Resume a model in the middle: rows that differ at the answer position from some layer on.

In a causal model a change at the answer position leaves all earlier positions as they are. From one
clean pass over a prompt the keys and values of its tokens and the input of every block are kept;
then a row that enters at layer l costs one token through the blocks from l on. In an encoder every
position can see the change, so a row is the whole sequence, but still from layer l on only.

Rows of all layers climb together: those that entered below block l pass it as one batch. Of the
block where a row enters only what follows the hidden units is run: the rest is as it was. Blocks
are the model's own modules, called with the arguments that the model itself gave them, turned to
the rows' shape; no attention is written again here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import Cache, DynamicCache

from neuron_atlas import hooks
from neuron_atlas.model import LanguageModel, site_modules
from neuron_atlas.questions import Point

Factors = Float[Tensor, "point layer neuron"]


@dataclass(frozen=True)
class Trace:
    """What one clean pass over a batch of points leaves behind.

    Attributes:
        position: The answer position of each point.
        token: Where the answer position is among the tokens of a row.
        outputs: Output of each block, at the answer position (decoder) or whole (encoder).
        values: The hidden units at the answer position.
        written: What the down-projections made of them.
        sums: Its sum with the residual, where a family norms that; else empty.
        calls: The arguments of each block beside its input.
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
        return self.outputs[-1][torch.arange(len(self.token), device=self.token.device), self.token]


@torch.no_grad()
def trace(lm: LanguageModel, batch: Sequence[Point], *, keep: Factors | None = None) -> Trace:
    """Run the model over the points once, and keep what rows need to start from any layer."""
    ids, mask, position = _padded(batch, lm.device)
    places, width = torch.arange(ids.shape[1], device=lm.device).expand_as(ids), ids.shape[1]
    cache = None if lm.architecture.encoder else DynamicCache()
    visible = (
        mask if lm.architecture.encoder else mask.new_ones(width, width).tril() & mask[:, None]
    )
    modules, sums = site_modules(lm, "hidden"), _sum_norms(lm)
    row = torch.arange(len(ids), device=lm.device)
    scale = {} if keep is None else {i: _scaled(position, keep[:, i]) for i in range(lm.n_layers)}
    with (
        hooks.edit(modules, scale),
        hooks.record(modules, lambda x: x[row, position]) as values,
        hooks.record([(m, False) for m, _ in modules], lambda x: x[row, position]) as written,
        hooks.record([(m, True) for m in sums], lambda x: x[row, position]) as summed,
        hooks.record_calls([*lm.blocks, *_after(lm)]) as calls,
    ):
        last = lm.hidden(ids, places, visible, cache=cache)
    whole = [call.args[0] for call in calls[1:]] + ([] if _after(lm) else [last])
    return Trace(
        position=position,
        token=position if lm.architecture.encoder else torch.zeros_like(position),
        outputs=whole if lm.architecture.encoder else [x[row, position][:, None] for x in whole],
        values=torch.stack([values[i] for i in range(lm.n_layers)], 1),
        written=[written[i] for i in range(lm.n_layers)],
        sums=[summed[i] for i in range(len(sums))],
        calls=calls[: lm.n_layers],
        keys=[] if cache is None else _keys(cache),
        before=places < position[:, None],
        keep=keep,
    )


def _keys(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    layers: list[Any] = list(cache.layers)
    return [(layer.keys, layer.values) for layer in layers]


def _padded(batch: Sequence[Point], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(p.ids) for p in batch)
    ids = torch.tensor([[*p.ids, *[0] * (width - len(p.ids))] for p in batch])
    length = torch.tensor([len(p.ids) for p in batch])
    position = torch.tensor([p.position for p in batch])
    return ids.to(device), (torch.arange(width) < length[:, None]).to(device), position.to(device)


def _after(lm: LanguageModel) -> list[torch.nn.Module]:
    """Return the norm between the last block and the head, if the family has one."""
    path = lm.architecture.norm
    return [] if path is None else [lm.network.get_submodule(path)]


def _sum_norms(lm: LanguageModel) -> list[torch.nn.Module]:
    path = lm.architecture.sum_norm
    return [] if path is None else [block.get_submodule(path) for block in lm.blocks]


def _scaled(position: Int[Tensor, " point"], factor: Float[Tensor, "point neuron"]) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        at = torch.arange(x.shape[1], device=x.device) == position[:, None]
        return torch.where(at[..., None], x * factor.to(x.dtype)[:, None], x)

    return change


def head_input(
    lm: LanguageModel, output: Float[Tensor, "point row d_model"]
) -> Float[Tensor, "point row d_model"]:
    """Return what the output embeddings are multiplied with, from the last block's output."""
    for module in _after(lm):
        output = module(output)
    return lm.before_head(output.flatten(0, 1)).view(output.shape)


def climb(
    lm: LanguageModel,
    start: Trace,
    entries: Sequence[Float[Tensor, "point entering neuron"] | None],
    *,
    whole: tuple[int, int] | None = None,
    watch: list[Tensor] | None = None,
) -> Float[Tensor, "point row d_model"]:
    """Run rows upwards from the layers at which they enter.

    Args:
        lm: The model.
        start: The clean pass that the rows leave.
        entries: For each layer the hidden units, at the answer position, of the rows that enter
            there; None where none does. Everything below is as in the clean pass.
        whole: A layer, and how many rows enter its block as the clean pass did, for hooks that
            change them on their way.
        watch: Filled with the hidden units of the rows that pass each layer, whose gradients are
            retained; those that enter there are in `entries`.

    Returns:
        The last block's output at the answer position, rows in the order of their layers.
    """
    hidden: Tensor | None = None
    for layer, values in enumerate(entries):
        if whole is not None and layer == whole[0]:
            hidden = _unchanged(lm, start, *whole)
        changes = _changes(start, layer, watch)
        ends = [] if changes or layer + 1 < lm.n_layers else _attention_end(lm)
        if hidden is not None:
            cut = partial(_at_answer, start, n_rows=hidden.shape[1])
            with hooks.edit(site_modules(lm, "hidden"), changes), hooks.edit_arguments(ends, cut):
                hidden = _call(lm, start, layer, hidden)
        if layer + 1 == lm.n_layers and hidden is not None:
            hidden = _read(start, hidden)
        if values is not None:
            new = _entering(lm, start, layer, values)
            new = _read(start, new) if layer + 1 == lm.n_layers else new
            hidden = new if hidden is None else torch.cat([hidden, new], 1)
    if hidden is None:
        raise ValueError("expected rows to enter at one layer at least, got none")
    return hidden[:, :, 0]


def _attention_end(lm: LanguageModel) -> list[torch.nn.Module]:
    """Return the module after which the last block needs the answer position alone."""
    path = lm.architecture.attention_end
    return [] if path is None else [lm.blocks[-1].get_submodule(path)]


def _at_answer(start: Trace, x: Tensor, n_rows: int) -> Tensor:
    """Cut sequences [point * row, token, d_model] down to the answer position."""
    token = start.token.repeat_interleave(n_rows)
    return x[torch.arange(len(x), device=x.device), token][:, None]


def _read(
    start: Trace, hidden: Float[Tensor, "point row token d_model"]
) -> Float[Tensor, "point row 1 d_model"]:
    if hidden.shape[2] == 1:
        return hidden
    point = torch.arange(len(hidden), device=hidden.device)
    return hidden[point, :, start.token][:, :, None]


def _unchanged(
    lm: LanguageModel, start: Trace, layer: int, n_rows: int
) -> Float[Tensor, "point row token d_model"]:
    """Return the clean input of a block, once a row."""
    x: Tensor = start.calls[layer].args[0]
    if not lm.architecture.encoder:
        x = x[torch.arange(len(x), device=x.device), start.position][:, None]
    return x[:, None].expand(-1, n_rows, -1, -1)


def _entering(
    lm: LanguageModel, start: Trace, layer: int, values: Float[Tensor, "point row neuron"]
) -> Float[Tensor, "point row token d_model"]:
    """Return the block's output with these hidden units at the answer position.

    Beyond the down-projection a block only adds, and norms in the places that `Architecture` names;
    so its clean output changes by what the down-projection writes now less what it wrote then.
    """
    row, block = lm.architecture, lm.blocks[layer]
    old, new = start.written[layer][:, None], block.get_submodule(row.down)(values)
    if row.down_norm is not None:
        norm = block.get_submodule(row.down_norm)
        old, new = norm(old), norm(new)
    clean = start.outputs[layer][:, None]
    at = torch.arange(clean.shape[2], device=clean.device) == start.token[:, None]
    if row.sum_norm is None:
        return torch.where(at[:, None, :, None], clean + (new - old)[:, :, None], clean)
    changed: Tensor = block.get_submodule(row.sum_norm)(start.sums[layer][:, None] + (new - old))
    return torch.where(at[:, None, :, None], changed[:, :, None], clean)


def _changes(start: Trace, layer: int, watch: list[Tensor] | None) -> dict[int, hooks.Change]:
    """Return what is done to one layer's hidden units: scaled by the factors in force, watched."""
    if start.keep is None and watch is None:
        return {}
    n_points, n_tokens = len(start.position), start.outputs[layer].shape[1]

    def change(x: Tensor) -> Tensor:
        rows = x.view(n_points, -1, n_tokens, x.shape[-1])
        if start.keep is not None:
            at = torch.arange(n_tokens, device=x.device) == start.token[:, None]
            factor = start.keep[:, layer].to(x.dtype)[:, None, None]
            rows = torch.where(at[:, None, :, None], rows * factor, rows)
        if watch is not None:
            rows.retain_grad()
            watch.append(rows)
        return rows.reshape(x.shape)

    return {layer: change}


def _call(lm: LanguageModel, start: Trace, layer: int, hidden: Tensor) -> Tensor:
    """Call a block on rows [point, row, token, d_model] with the arguments of its clean call."""
    n_points, n_rows = hidden.shape[:2]
    turn = _Whole(start, n_rows) if lm.architecture.encoder else _Last(start, layer, n_rows)
    args, kwargs = start.calls[layer]
    flat = hidden.reshape(-1, hidden.shape[2], hidden.shape[3])
    if not lm.architecture.encoder:
        flat = hidden.reshape(n_points, n_rows, hidden.shape[3])
    output = lm.blocks[layer](flat, *map(turn, args[1:]), **{k: turn(v) for k, v in kwargs.items()})
    result: Tensor = output[0] if isinstance(output, tuple) else output
    return result.view(n_points, n_rows, -1, hidden.shape[3])


class _Whole:
    """Turns an encoder block's arguments from one sequence a point to one a row."""

    def __init__(self, start: Trace, n_rows: int) -> None:
        self._n_points, self._n_rows = len(start.position), n_rows

    def __call__(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self, value))
        if isinstance(value, Tensor) and len(value) == self._n_points > 1:
            return value.repeat_interleave(self._n_rows, 0)
        return value


class _Last:
    """Turns a decoder block's arguments from all positions to rows at the answer position."""

    def __init__(self, start: Trace, layer: int, n_rows: int) -> None:
        self._start, self._layer, self._n_rows = start, layer, n_rows

    def __call__(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self, value))
        if isinstance(value, Cache):
            return _Prefix(*self._start.keys[self._layer])
        if not isinstance(value, Tensor):
            return value
        return self._mask(value) if value.ndim == 4 else self._at_answer(value)

    def _at_answer(self, value: Tensor) -> Tensor:
        """Repeat what belongs to the answer position, such as its rotary embedding."""
        position = self._start.position
        each = value.expand(len(position), *value.shape[1:])
        point = torch.arange(len(position), device=value.device)
        return each[point, position][:, None].expand(-1, self._n_rows, *value.shape[2:])

    def _mask(self, value: Tensor) -> Tensor:
        """Let each row see the tokens before the answer position and itself."""
        before, n = self._start.before, self._n_rows
        own = torch.eye(n, dtype=torch.bool, device=value.device).expand(len(before), n, n)
        seen = torch.cat([before[:, None].expand(-1, n, -1), own], 2)
        mask = torch.zeros(seen.shape, dtype=value.dtype, device=value.device)
        return mask.masked_fill_(~seen, torch.finfo(value.dtype).min)[:, None]


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
