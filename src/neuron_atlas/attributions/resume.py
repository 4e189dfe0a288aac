"""Resume a model in the middle: rows that differ at the answer position from some layer on.

In a causal model a change at the answer position leaves all earlier positions as they are. One
clean pass over a prompt keeps the keys and values of its tokens and the input of every block, so a
row that enters at layer l costs one token through the blocks from l on. In an encoder every
position can see the change, so a row is the whole sequence, but still only from layer l on.

Rows of all layers run together: those that entered below block l pass it as one batch. In the block
where a row enters, only what follows the hidden units is run: the rest is as in the clean pass.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import block_rows
from neuron_atlas.attributions.trace import Trace, at, token_mask
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules


def run_rows(
    lm: LanguageModel,
    trace: Trace,
    entries: Sequence[Float[Tensor, "point _ neuron"] | None],
    *,
    whole: tuple[int, int] | None = None,
    watch: list[Tensor] | None = None,
) -> Float[Tensor, "point row d_model"]:
    """Run rows upwards from the layers at which they enter.

    Args:
        lm: The model.
        trace: The clean pass that the rows leave.
        entries: For each layer the hidden units, at the answer position, of the rows that enter
            there; None where none does. Everything below is as in the clean pass.
        whole: A layer and a number of rows that enter its block with its clean input, for hooks
            that change them further on.
        watch: Filled with the hidden units of the rows that pass each layer, which keep their
            gradients; rows that enter there are in `entries`.

    Returns:
        The last block's output at the answer position, rows in the order of their layers.

    Raises:
        ValueError: no rows enter at any layer.
    """
    rows: list[Tensor] = []
    for layer, values in enumerate(entries):
        if whole is not None and layer == whole[0]:
            rows = [_unchanged(lm, trace, *whole)]
        rows = [_passed(lm, trace, layer, x, watch) for x in rows]
        if values is not None:
            rows.append(_entered(lm, trace, layer, values))
        if layer + 1 == lm.n_layers:
            rows = [at(x.transpose(1, 2), trace.token) for x in rows]
        if len(rows) > 1:
            rows = [torch.cat(rows, 1)]
    if not rows:
        raise ValueError("expected rows that enter at one or more layers, got none")
    return rows[0]


def _unchanged(
    lm: LanguageModel, trace: Trace, layer: int, n_rows: int
) -> Float[Tensor, "point row token d_model"]:
    """Return the clean input of a block, repeated for each row."""
    x: Tensor = trace.calls[layer].args[0]
    if not lm.architecture.encoder:
        x = at(x, trace.position)[:, None]
    return x[:, None].expand(-1, n_rows, -1, -1)


def _passed(
    lm: LanguageModel,
    trace: Trace,
    layer: int,
    rows: Float[Tensor, "point row token d_model"],
    watch: list[Tensor] | None,
) -> Float[Tensor, "point row left d_model"]:
    """Return the block's output on rows that entered below, its hidden units scaled and watched."""
    if trace.keep is None and watch is None:
        return block_rows.call(lm, trace, layer, rows)
    with hooks.edit(site_modules(lm, "hidden"), {layer: _change(trace, layer, rows, watch)}):
        return block_rows.call(lm, trace, layer, rows)


def _change(trace: Trace, layer: int, rows: Tensor, watch: list[Tensor] | None) -> hooks.Change:
    """Return the change of the rows' hidden units: scaled by `trace.keep`, and watched."""

    def change(x: Tensor) -> Tensor:
        values = x.view(*rows.shape[:2], -1, x.shape[-1])
        if trace.keep is not None:
            factor = trace.keep[:, layer].to(x)[:, None, None]
            values = torch.where(_answer(trace, values), values * factor, values)
        if watch is not None:
            values.retain_grad()
            watch.append(values)
        return values.reshape(x.shape)

    return change


def _entered(
    lm: LanguageModel, trace: Trace, layer: int, values: Float[Tensor, "point row neuron"]
) -> Float[Tensor, "point row token d_model"]:
    """Return the block's output with these hidden units at the answer position.

    After the down-projection a block only adds, and norms where `Architecture` says so; its clean
    output changes by what the down-projection writes now, less what it wrote in the clean pass.
    """
    row, block = lm.architecture, lm.blocks[layer]
    old = trace.written[layer][:, None]
    new = block.get_submodule(row.down)(values.to(old.device))
    if row.down_norm is not None:
        norm = block.get_submodule(row.down_norm)
        old, new = norm(old), norm(new)
    clean = trace.outputs[layer].to(old.device)[:, None]
    there = _answer(trace, clean)
    if row.sum_norm is None:
        return torch.where(there, clean + (new - old)[:, :, None], clean)
    changed: Tensor = block.get_submodule(row.sum_norm)(trace.sums[layer][:, None] + (new - old))
    return torch.where(there, changed[:, :, None], clean)


def _answer(trace: Trace, rows: Tensor) -> Tensor:
    """Return which tokens of rows [point, row, token, ...] are the answer position."""
    n_tokens = rows.shape[2]
    token = trace.token.clamp_max(n_tokens - 1)  # 0 where rows were cut to the answer position
    return token_mask(n_tokens, token.to(rows.device))[:, None, :, None]
