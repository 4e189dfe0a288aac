"""The reference: what the target loses when one neuron alone is set to another value, exactly."""

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from neuron_atlas.attribution_methods.case import Case, Low, Reference
from neuron_atlas.attributions.clean_pass import target_of
from neuron_atlas.attributions.resume import run_rows

ROWS = 1024  # tokens of rows that run together for a point; a matter of memory


def drops(
    case: Case, neurons: Int64[np.ndarray, " sampled"]
) -> dict[Reference, Float[Tensor, " sampled"]]:
    """Return by how much the target falls when single neurons are set to each reference's value.

    The neuron is changed at the answer position of each of the answer's points, whose drops add up:
    what the methods explain, in the same unit. Of several paths the drops add up too, as the scores
    of one path per word do. A value above 0 says that the neuron pushes the answer up.

    Args:
        case: The question.
        neurons: Flat indices, ascending and distinct.

    Raises:
        ValueError: the indices do not ascend.
    """
    if (np.diff(neurons) <= 0).any():
        raise ValueError(f"expected distinct neurons in ascending order, got {neurons}")
    sizes = [low.shape[1] for low in case.low.values()]
    found = torch.split(_path_drops(case, neurons, torch.cat([*case.low.values()], 1)), sizes)
    return {name: part.sum(0) for name, part in zip(case.low, found, strict=True)}


@torch.no_grad()
def _path_drops(
    case: Case, neurons: Int64[np.ndarray, " sampled"], low: Low
) -> Float[Tensor, "path sampled"]:
    """Return the drop on each path, summed over the points."""
    layers = _by_layer(torch.from_numpy(neurons).to(low.device), case)
    width = case.clean.trace.outputs[0].shape[1]  # tokens of a row: one in a decoder
    at_once = max(1, ROWS // (width * max(1, len(neurons))))
    parts = []
    for some in torch.split(low, at_once, 1):
        entries = [
            _changed(case.clean.trace.values[:, i], some[:, :, i], columns)
            if len(columns)
            else None
            for i, columns in enumerate(layers)
        ]
        output = run_rows(case.lm, case.clean.trace, entries)
        value = target_of(case.lm, output, case.clean.batch, case.plan.target)
        parts.append((case.value[:, None] - value).sum(0))
    sizes = [len(columns) for columns in layers]
    return torch.cat([_by_path(part, sizes) for part in parts]).cpu()


def _by_layer(neurons: Int[Tensor, " sampled"], case: Case) -> list[Int[Tensor, " _"]]:
    n = case.lm.n_neurons
    return [neurons[neurons // n == layer] % n for layer in range(case.lm.n_layers)]


def _changed(
    own: Float[Tensor, "point neuron"],
    low: Float[Tensor, "point path neuron"],
    columns: Int[Tensor, " own"],
) -> Float[Tensor, "point row neuron"]:
    """Return one row per path and column, in this order, with the column's value replaced."""
    n_paths, n = low.shape[1], len(columns)
    rows = own[:, None, None].repeat(1, n_paths, n, 1)
    place = torch.arange(n, device=own.device)
    rows[:, :, place, columns] = low[:, :, columns]
    return rows.flatten(1, 2)


def _by_path(drop: Float[Tensor, " row"], sizes: list[int]) -> Float[Tensor, "path sampled"]:
    """Bring rows ordered by layer, path and neuron into one row per path."""
    n_paths = len(drop) // sum(sizes)
    layers = torch.split(drop, [n_paths * n for n in sizes])
    return torch.cat([part.view(n_paths, n) for part, n in zip(layers, sizes, strict=True)], 1)
