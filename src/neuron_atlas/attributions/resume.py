"""Resume a model in the middle: rows that differ at the answer position from some layer on.

In a causal model a change at the answer position leaves all earlier positions as they are. From one
clean pass over a prompt the keys and values of its tokens and the input of every block are kept;
then a row that enters at layer l costs one token through the blocks from l on. In an encoder every
position can see the change, so a row is the whole sequence, but still from layer l on only.

Rows of all layers climb together: those that entered below block l pass it as one batch. Of the
block where a row enters only what follows the hidden units is run: the rest is as it was.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import block_rows
from neuron_atlas.attributions.trace import Trace, at, one_of
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules


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
    rows: list[Tensor] = []
    for layer, values in enumerate(entries):
        if whole is not None and layer == whole[0]:
            rows = [_unchanged(lm, start, *whole)]
        rows = [_passed(lm, start, layer, x, watch) for x in rows]
        if values is not None:
            rows.append(_entered(lm, start, layer, values))
        if layer + 1 == lm.n_layers:
            rows = [at(x.transpose(1, 2), start.token) for x in rows]
        if len(rows) > 1:
            rows = [torch.cat(rows, 1)]
    if not rows:
        raise ValueError("expected rows to enter at one layer at least, got none")
    return rows[0]


def _unchanged(
    lm: LanguageModel, start: Trace, layer: int, n_rows: int
) -> Float[Tensor, "point row token d_model"]:
    """Return the clean input of a block, once a row."""
    x: Tensor = start.calls[layer].args[0]
    if not lm.architecture.encoder:
        x = at(x, start.position)[:, None]
    return x[:, None].expand(-1, n_rows, -1, -1)


def _passed(
    lm: LanguageModel,
    start: Trace,
    layer: int,
    rows: Float[Tensor, "point row token d_model"],
    watch: list[Tensor] | None,
) -> Float[Tensor, "point row left d_model"]:
    """Return the block's output on rows that entered below, its hidden units scaled and watched."""
    if start.keep is None and watch is None:
        return block_rows.call(lm, start, layer, rows)
    with hooks.edit(site_modules(lm, "hidden"), {layer: _change(start, layer, rows, watch)}):
        return block_rows.call(lm, start, layer, rows)


def _change(start: Trace, layer: int, rows: Tensor, watch: list[Tensor] | None) -> hooks.Change:
    """Return what is done to the rows' hidden units: scaled by the factors in force, watched."""

    def change(x: Tensor) -> Tensor:
        values = x.view(*rows.shape[:2], -1, x.shape[-1])
        if start.keep is not None:
            factor = start.keep[:, layer].to(x.dtype)[:, None, None]
            values = torch.where(_answer(start, values), values * factor, values)
        if watch is not None:
            values.retain_grad()
            watch.append(values)
        return values.reshape(x.shape)

    return change


def _entered(
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
    there = _answer(start, clean)
    if row.sum_norm is None:
        return torch.where(there, clean + (new - old)[:, :, None], clean)
    changed: Tensor = block.get_submodule(row.sum_norm)(start.sums[layer][:, None] + (new - old))
    return torch.where(there, changed[:, :, None], clean)


def _answer(start: Trace, rows: Tensor) -> Tensor:
    """Return which tokens of rows [point, row, token, ...] are the answer position."""
    n_tokens = rows.shape[2]
    token = start.token.clamp_max(n_tokens - 1)  # 0 where rows were cut to the answer position
    return one_of(n_tokens, token)[:, None, :, None]
