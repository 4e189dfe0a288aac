"""Matched random controls of sets of neurons, and the outliers that are left out of both."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, UInt64

from neuron_atlas.neurons.addresses import Neuron, check_set
from neuron_atlas.pipeline.streams import Name, code

LAST = np.uint64(2**64 - 1)  # the key of a candidate that is taken


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


def matched_random(
    chosen: Int[np.ndarray, " k"],
    strength: Float[np.ndarray, "layer neuron"],
    *,
    names: tuple[Name, ...],
    seed: int,
    n_draws: int,
    n_nearest: int = 20,
    exclude: Int[np.ndarray, " excluded"] | None = None,
) -> Int64[np.ndarray, "{n_draws} k"]:
    """Draw random sets that match the chosen neurons one by one in layer and in a quantity.

    Column j of a draw is one of the `n_nearest` neurons of the layer of `chosen[j]` whose logarithm
    of `strength` is nearest to its own; ties go by index, and only zeros are near to a zero. A
    neuron's candidates stand in an order that depends on the seed, the names, the draw and this
    neuron alone. The first that no earlier column has is drawn, from further neighbours where the
    nearest run out. So another neuron in `chosen` changes its own column, and others only where
    candidates are shared. The random sets of Liu et al. 2025 (arXiv 2502.17355) match neither.

    Args:
        chosen: The set to match.
        strength: The quantity to match, >= 0, such as the mean |activation| over prompts.
        names: What the draws are for, as in `streams.stream`.
        seed: The seed.
        n_draws: Sets to draw; a draw is the same however many there are.
        n_nearest: Candidates of each neuron; the layer's size matches the layer alone.
        exclude: Other neurons never to draw, such as `massive` ones; repeats do not matter.

    Returns:
        Flat indices: none in `chosen` or `exclude`, none twice in a draw.

    Raises:
        ValueError: a layer has too few neurons left, an argument is out of range, or `chosen`
            repeats a neuron.
    """
    for name, value in (("n_draws", n_draws), ("n_nearest", n_nearest)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    _check_size(strength)
    check_set(chosen, strength.size)
    barred = np.unique(np.concatenate([chosen, [] if exclude is None else exclude]).astype(int))
    check_set(barred, strength.size)
    free, width = np.ones(strength.shape, dtype=np.bool_), strength.shape[1]
    free.flat[barred] = False
    key, logs = code(seed, *names), np.log(np.maximum(strength, np.finfo(np.float64).tiny))
    drawn = np.empty((n_draws, len(chosen)), dtype=np.int64)
    for layer in np.unique(chosen // width).tolist():
        columns, pool = np.flatnonzero(chosen // width == layer), np.flatnonzero(free[layer])
        _require_enough(layer, n_left=len(pool), n_chosen=len(columns))
        distance = np.abs(logs[layer, pool] - logs[layer, chosen[columns] % width, None])
        orders = _RandomOrders(key, chosen[columns], pool + layer * width)
        drawn[:, columns] = orders.candidates[_one_by_one(distance, orders, n_draws, n_nearest)]
    return drawn


@dataclass(frozen=True)
class _RandomOrders:
    """Keys by which each chosen neuron's candidates are sorted in each draw.

    Attributes:
        code: Stands for the seed and the purpose.
        owners: The chosen neurons, flat indices.
        candidates: Flat indices.
    """

    code: np.uint64
    owners: Int[np.ndarray, " column"]
    candidates: Int[np.ndarray, " candidate"]

    def keys(
        self, places: Int[np.ndarray, "column some"], draws: Int[np.ndarray, " draw"]
    ) -> UInt64[np.ndarray, "draw column some"]:
        """Return the keys of some candidates of each chosen neuron, by place."""
        owner = _mixed(self.code ^ _mixed(self.owners.astype(np.uint64)))
        each = _mixed(owner ^ _mixed(draws.astype(np.uint64))[:, None])
        return _mixed(each[:, :, None] ^ _mixed(self.candidates.astype(np.uint64))[places])

    def of(self, column: int) -> "_RandomOrders":
        """Return those of one chosen neuron."""
        return replace(self, owners=self.owners[column : column + 1])


def _one_by_one(
    distance: Float[np.ndarray, "column candidate"],
    orders: _RandomOrders,
    n_draws: int,
    n_nearest: int,
) -> Int64[np.ndarray, "draw column"]:
    """Draw a candidate for each column in turn, none twice in a draw; return their places."""
    n_columns, n_candidates = distance.shape
    near = _nearest(distance, min(n_nearest, n_candidates))
    keys, rows = orders.keys(near, np.arange(n_draws)), np.arange(n_draws)
    taken = np.zeros((n_draws, n_candidates), dtype=np.bool_)
    drawn = np.empty((n_draws, n_columns), dtype=np.int64)
    for column, places in enumerate(near):
        used = taken[:, places]
        drawn[:, column] = places[np.where(used, LAST, keys[:, column]).argmin(1)]
        for draw in np.flatnonzero(used.all(1)).tolist():
            left = np.flatnonzero(~taken[draw])
            near_left = left[_nearest(distance[column, left][None], min(n_nearest, len(left)))]
            first = orders.of(column).keys(near_left, np.array([draw])).argmin()
            drawn[draw, column] = near_left.flat[first]
        taken[rows, drawn[:, column]] = True
    return drawn


def _nearest(
    distance: Float[np.ndarray, "column candidate"], n: int
) -> Int64[np.ndarray, "column {n}"]:
    """Return the places of the `n` smallest distances of each row; of equal ones, the first."""
    limits = np.partition(distance, n - 1, axis=1)[:, n - 1 : n]
    inside, tied = distance < limits, distance == limits
    wanted = n - inside.sum(1, keepdims=True)
    kept = inside | (tied & (tied.cumsum(1) <= wanted))
    return np.nonzero(kept)[1].reshape(len(distance), n)


def _mixed(x: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """Scatter 64-bit numbers: the finaliser of SplitMix64 (Steele et al. 2014, OOPSLA)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _require_enough(layer: int, *, n_left: int, n_chosen: int) -> None:
    if n_left < n_chosen:
        raise ValueError(
            f"layer {layer} has {n_left} neurons left to match {n_chosen} chosen ones; "
            "choose or exclude fewer neurons"
        )


def _check_size(size: Float[np.ndarray, "layer neuron"]) -> None:
    if (bad := ~(np.isfinite(size) & (size >= 0))).any():
        layer, index = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"sizes and strengths must be finite and >= 0, got {size[layer, index]} at "
            f"{Neuron(layer, index)}; take the absolute value before averaging"
        )
