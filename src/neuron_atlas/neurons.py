"""Neurons and sets of neurons: addresses, selections and matched random controls.

A set travels as an int64 array of flat indices, layer * n_neurons + index, best first, where
n_neurons is the number of neurons in one layer. `Neuron` is the same address for people.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor


@dataclass(frozen=True, order=True)
class Neuron:
    """One MLP neuron: the input coordinate `index` of layer `layer`'s down-projection."""

    layer: int
    index: int


def to_neurons(flat: Int[np.ndarray, " k"], n_neurons: int) -> list[Neuron]:
    """Return the neuron at each flat index, in the same order."""
    return [Neuron(*divmod(i, n_neurons)) for i in flat.tolist()]


def to_flat(neurons: Iterable[Neuron], n_neurons: int) -> Int64[np.ndarray, " k"]:
    """Return the flat index of each neuron, in the same order; undoes `to_neurons`.

    Raises:
        ValueError: a layer is negative or an index is not in [0, n_neurons).
    """
    listed = list(neurons)
    for n in listed:
        if n.layer < 0 or not 0 <= n.index < n_neurons:
            raise ValueError(f"expected layer >= 0 and index in [0, {n_neurons}), got {n}")
    return np.array([n.layer * n_neurons + n.index for n in listed], dtype=np.int64)


def top_k(order: Int[Tensor, " n"], k: int) -> Int64[np.ndarray, " k"]:
    """Return the first `k` neurons of an order made by `scores.rank`.

    Raises:
        ValueError: `k` is not in [1, n].
    """
    if not 1 <= k <= len(order):
        raise ValueError(f"k must be in [1, {len(order)}] for {len(order)} ranked neurons, got {k}")
    return order[:k].cpu().numpy().astype(np.int64)


def layer_histogram(
    chosen: Int[np.ndarray, " k"], *, n_layers: int, n_neurons: int
) -> Int64[np.ndarray, " layer"]:
    """Count the chosen neurons of each layer; the counts sum to k.

    Raises:
        ValueError: an index is out of range or occurs twice.
    """
    check_set(chosen, n_layers * n_neurons)
    return np.bincount(chosen // n_neurons, minlength=n_layers)


def check_set(chosen: Int[np.ndarray, " k"], n: int) -> None:
    """Raise a ValueError unless `chosen` holds indices in [0, n), each once."""
    if (outside := chosen[(chosen < 0) | (chosen >= n)]).size:
        raise ValueError(
            f"expected flat indices in [0, {n}), got {outside[0]}; is the set of another model?"
        )
    unique, counts = np.unique(chosen, return_counts=True)
    if (repeated := unique[counts > 1]).size:
        raise ValueError(f"a set holds each neuron once, got {repeated[0]} twice; drop repeats")


def massive(
    size_max: Float[np.ndarray, "layer neuron"], factor: float
) -> Bool[np.ndarray, "layer neuron"]:
    """Flag outlier units, a few of which can collapse any model when they are changed.

    After the "massive activations" of Sun et al. 2024 (arXiv 2402.17762, section 2), who compare
    with the median of the hidden state; here a neuron is compared with the neurons of its layer.

    Args:
        size_max: Each neuron's largest |activation| over prompts.
        factor: How many times its layer's median `size_max` (of units that fire) it must exceed.

    Returns:
        True for outliers; unchanged when all activations are multiplied by one number.

    Raises:
        ValueError: `factor` is not positive, or a size is negative or not finite.
    """
    if not factor > 0:
        raise ValueError(f"factor must be above 0, got {factor}")
    _check_size(size_max)
    used = np.where(size_max > 0, size_max, np.nan)  # units that never fire say nothing of size
    typical = [np.nanmedian(row) if (row > 0).any() else 0.0 for row in used]
    return np.asarray(size_max > factor * np.array(typical)[:, None])


def size_bins(
    size: Float[np.ndarray, "layer neuron"], n_bins: int
) -> Int64[np.ndarray, "layer neuron"]:
    """Cut each layer's neurons into `n_bins` quantile bins of activation size.

    Args:
        size: Activation size, such as the mean |activation| over prompts.
        n_bins: Bins a layer.

    Returns:
        Bin in [0, n_bins), 0 the smallest; bins differ by at most one neuron, index breaks ties.

    Raises:
        ValueError: `n_bins` is not in [1, neuron], or a size is negative or not finite.
    """
    n_neurons = size.shape[1]
    if not 1 <= n_bins <= n_neurons:
        raise ValueError(
            f"n_bins must be in [1, {n_neurons}] for {n_neurons} neurons, got {n_bins}"
        )
    _check_size(size)
    ranks = size.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return np.asarray(ranks * n_bins // n_neurons)


def matched_random(
    chosen: Int[np.ndarray, " k"],
    size: Float[np.ndarray, "layer neuron"],
    *,
    rng: np.random.Generator,
    n_draws: int,
    n_bins: int = 10,
    exclude: Int[np.ndarray, " excluded"] | None = None,
) -> Int64[np.ndarray, "{n_draws} k"]:
    """Draw random sets that match the chosen neurons in layer and activation size.

    Column j of a draw comes from the layer and the `size_bins` bin of `chosen[j]`; where that bin
    runs out, from the nearest bins of the layer. The random sets of Liu et al. 2025 (arXiv
    2502.17355) match neither; one bin matches the layer alone.

    Args:
        chosen: The set to match.
        size: Activation size of every neuron, such as the mean |activation| over prompts.
        rng: Source of the draws.
        n_draws: Sets to draw.
        n_bins: Quantile bins a layer.
        exclude: Other neurons never to draw, such as `massive` ones; repeats do not matter.

    Returns:
        Flat indices: none in `chosen` or `exclude`, none twice in a draw.

    Raises:
        ValueError: a layer has too few neurons left, an argument is out of range, or `chosen`
            repeats a neuron.
    """
    if n_draws < 1:
        raise ValueError(f"n_draws must be at least 1, got {n_draws}")
    barred = np.unique(np.concatenate([chosen, [] if exclude is None else exclude]).astype(int))
    check_set(chosen, size.size)
    check_set(barred, size.size)
    bins = size_bins(size, n_bins)
    wanted, layer_of = bins.flat[chosen], chosen // size.shape[1]
    bins.flat[barred] = -1  # in no bin, so never drawn
    drawn = np.empty((n_draws, len(chosen)), dtype=np.int64)
    for layer in np.unique(layer_of).tolist():
        pools = [layer * size.shape[1] + np.flatnonzero(bins[layer] == b) for b in range(n_bins)]
        columns = np.flatnonzero(layer_of == layer)
        source = _sources(wanted[columns], np.array([len(p) for p in pools]), layer=layer)
        for b in np.unique(source).tolist():
            shuffled = rng.permuted(np.tile(pools[b], (n_draws, 1)), axis=1)
            drawn[:, columns[source == b]] = shuffled[:, : (source == b).sum()]
    return drawn


def _sources(
    wanted: Int[np.ndarray, " k"], free: Int[np.ndarray, " bin"], *, layer: int
) -> Int[np.ndarray, " k"]:
    """Return the bin to draw each neuron from: its own while that lasts, then the nearest left."""
    if free.sum() < len(wanted):
        raise ValueError(
            f"layer {layer} has {free.sum()} neurons left to match {len(wanted)} chosen ones; "
            "choose or exclude fewer neurons"
        )
    own = np.minimum(np.bincount(wanted, minlength=len(free)), free)
    source, left = wanted.copy(), free - own
    for b in range(len(free)):
        for i in np.flatnonzero(wanted == b)[own[b] :]:
            near = np.flatnonzero(left)
            source[i] = near[np.abs(near - b).argmin()]
            left[source[i]] -= 1
    return source


def _check_size(size: Float[np.ndarray, "layer neuron"]) -> None:
    if (bad := ~(np.isfinite(size) & (size >= 0))).any():
        layer, index = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"activation sizes must be finite and >= 0, got {size[layer, index]} at "
            f"{Neuron(layer, index)}; take the absolute value before averaging"
        )
