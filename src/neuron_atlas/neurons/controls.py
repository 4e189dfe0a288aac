"""Matched random controls of sets of neurons, and the outliers that are left out of both."""

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from neuron_atlas.neurons.addresses import Neuron, check_set


def massive(
    size_max: Float[np.ndarray, "layer neuron"], factor: float
) -> Bool[np.ndarray, "layer neuron"]:
    """Flag outlier units; changing a few of them can make a model collapse.

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
    used = np.where(size_max > 0, size_max, np.nan)  # units that never fire tell nothing about size
    typical = [np.nanmedian(row) if (row > 0).any() else 0.0 for row in used]
    return np.asarray(size_max > factor * np.array(typical)[:, None])


def size_bins(
    size: Float[np.ndarray, "layer neuron"], n_bins: int
) -> Int64[np.ndarray, "layer neuron"]:
    """Cut each layer's neurons into `n_bins` quantile bins of activation size.

    Args:
        size: Activation size, such as the mean |activation| over prompts.
        n_bins: Bins per layer.

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
        n_bins: Quantile bins per layer.
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
