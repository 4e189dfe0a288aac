"""The target with whole sets of neurons set to their mean, or with all others set to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from neuron_atlas.attribution_methods.case import Case
from neuron_atlas.attributions.clean_pass import target_of
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.trace import token_mask
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import site_modules

ROWS = 256  # tokens of rows that run together for a point; a matter of memory
Orders = Mapping[str, Int64[np.ndarray, " neuron"]]


def set_sizes(largest: int, n_neurons: int) -> list[int]:
    """Return 1, 2, 4, ... up to `largest`, and at most as many as there are neurons."""
    most = min(largest, n_neurons)
    return [2**i for i in range(most.bit_length())]


def kept_and_taken(
    case: Case, orders: Orders, sizes: Sequence[int]
) -> tuple[dict[str, list[float]], dict[str, list[float]], float]:
    """Return the target when the best neurons alone are kept, when they alone are taken away.

    After Mueller et al. 2025 (MIB, arXiv 2504.13151). What is not kept is set to its
    mean over prompts of other relations. The units are the MLP neurons at the answer position;
    attention and earlier positions always stay, whereas MIB takes away edges of the whole graph.

    Args:
        case: The question.
        orders: By method, flat indices of the best neurons, best first.
        sizes: How many of them.

    Returns:
        By method and size the target with the set kept, and with the set taken away; and the target
        with nothing kept.
    """
    n = case.lm.n_layers * case.lm.n_neurons
    chosen = torch.zeros(len(orders) * len(sizes), n, dtype=torch.bool)
    for i, order in enumerate(orders.values()):
        for j, size in enumerate(sizes):
            chosen[i * len(sizes) + j, torch.from_numpy(order[:size].copy())] = True
    changed = torch.cat([~chosen, chosen, torch.ones(1, n, dtype=torch.bool)])
    found = targets(case, changed.view(len(changed), case.lm.n_layers, -1)).tolist()
    kept, taken = found[: len(chosen)], found[len(chosen) : -1]
    return _named(kept, orders, len(sizes)), _named(taken, orders, len(sizes)), found[-1]


@torch.no_grad()
def targets(case: Case, changed: Bool[Tensor, "arm layer neuron"]) -> Float[Tensor, " arm"]:
    """Return the target, summed over the points, with sets of neurons at their mean.

    Args:
        case: The question.
        changed: True for the neurons that an arm sets to `case.others`.
    """
    trace = case.clean.trace
    changed, others = changed.to(trace.values.device), case.others.to(trace.values)
    at_once = max(1, ROWS // trace.outputs[0].shape[1])
    found = []
    for some in torch.split(changed, at_once):
        first = torch.where(some[None, :, 0], others[0], trace.values[:, None, 0])
        entries = [first, *[None] * (case.lm.n_layers - 1)]
        with _set_above(case, some, others):
            output = run_rows(case.lm, trace, entries)
        value = target_of(case.lm, output, case.clean.batch, case.plan.target)
        found.append(value.sum(0))
    return torch.cat(found).cpu()


def _set_above(
    case: Case, changed: Bool[Tensor, "arm layer neuron"], others: Float[Tensor, "layer neuron"]
) -> AbstractContextManager[None]:
    """Set neurons of all layers but the first, where the rows enter, at the answer position."""
    trace = case.clean.trace
    shape = (len(trace.position), len(changed))

    def change(layer: int) -> hooks.Change:
        def run(x: Tensor) -> Tensor:
            rows = x.view(*shape, -1, x.shape[-1])
            token = trace.token.clamp_max(rows.shape[2] - 1)
            there = token_mask(rows.shape[2], token)[:, None, :, None]
            asked = (there & changed[None, :, None, layer]).to(x.device)
            return torch.where(asked, others[layer].to(x.device), rows).view(x.shape)

        return run

    changes = {layer: change(layer) for layer in range(1, case.lm.n_layers)}
    return hooks.edit(site_modules(case.lm, "hidden"), changes)


def _named(values: Sequence[float], orders: Orders, n_sizes: int) -> dict[str, list[float]]:
    parts: Iterator[list[float]] = (
        list(values[i : i + n_sizes]) for i in range(0, len(values), n_sizes)
    )
    return dict(zip(orders, parts, strict=True))
