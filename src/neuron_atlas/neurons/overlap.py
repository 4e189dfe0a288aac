"""Overlap of neuron sets, and the overlap that chance alone would give."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64
from scipy.stats import hypergeom

from neuron_atlas.neurons.addresses import check_set, layer_histogram


def jaccard(a: Int[np.ndarray, " k_a"], b: Int[np.ndarray, " k_b"]) -> float:
    """Return |a and b| / |a or b| of two neuron sets: 1 for equal sets, 0 for disjoint ones.

    Raises:
        ValueError: both sets are empty, so that the ratio is 0 / 0.
    """
    if not a.size and not b.size:
        raise ValueError("expected at least one neuron in one of the sets, got two empty sets")
    return float(np.intersect1d(a, b).size / np.union1d(a, b).size)


def overlap_matrix(
    sets: Sequence[Int[np.ndarray, " _"]] | Int[np.ndarray, "set k"], n: int
) -> Int64[np.ndarray, "{len(sets)} {len(sets)}"]:
    """Count the neurons shared by each pair of sets; the diagonal holds the sets' sizes.

    Args:
        sets: Sets of flat indices; their sizes may differ.
        n: Neurons in the model: layers x neurons in a layer.

    Raises:
        ValueError: an index is out of range or occurs twice in a set.
    """
    member = np.zeros((len(sets), n), dtype=np.float32)  # counts are exact below 2 ** 24
    for row, chosen in zip(member, sets, strict=True):
        check_set(chosen, n)
        row[chosen] = 1
    return (member @ member.T).astype(np.int64)


def expected_overlap(k_a: int, k_b: int, n: int) -> float:
    """Return the mean number of neurons shared by random sets of `k_a` and `k_b` of `n` neurons.

    The mean of the hypergeometric distribution, k_a * k_b / n.

    Raises:
        ValueError: a set size is not in [0, n].
    """
    _check_sizes(k_a, k_b, n)
    return k_a * k_b / n


def expected_jaccard(k_a: int, k_b: int, n: int) -> float:
    """Return the mean Jaccard index of random sets of `k_a` and `k_b` of `n` neurons.

    The exact mean over the hypergeometric distribution of the overlap; it differs from the ratio
    of the means because the union shrinks as the overlap grows.

    Raises:
        ValueError: a set size is not in [0, n], or both are 0.
    """
    _check_sizes(k_a, k_b, n)
    if k_a + k_b == 0:
        raise ValueError("expected at least one neuron in one of the sets, got k_a = k_b = 0")
    shared = np.arange(max(0, k_a + k_b - n), min(k_a, k_b) + 1)
    return float(hypergeom.pmf(shared, n, k_a, k_b) @ (shared / (k_a + k_b - shared)))


def overlap_p_value(count: int, k_a: int, k_b: int, n: int) -> float:
    """Return the probability that random sets of `k_a` and `k_b` of `n` neurons share >= `count`.

    One-sided hypergeometric test. It treats all layers alike; two sets that merely favour the same
    layers pass it, so read it beside `within_layer_expected_overlap`.

    Raises:
        ValueError: a set size is not in [0, n], or two such sets cannot share `count`.
    """
    _check_sizes(k_a, k_b, n)
    low, high = max(0, k_a + k_b - n), min(k_a, k_b)
    if not low <= count <= high:
        raise ValueError(f"sets of {k_a} and {k_b} of {n} share {low} to {high}, got {count}")
    return float(hypergeom.sf(count - 1, n, k_a, k_b))


def within_layer_p_value(
    count: int,
    histogram_a: Int[np.ndarray, " layer"],
    histogram_b: Int[np.ndarray, " layer"],
    n_neurons: int,
) -> float:
    """Return the probability that random sets with these layer histograms share >= `count`.

    The number shared is a sum of independent hypergeometric counts, one per layer; its distribution
    is the convolution of the layers' distributions.
    """
    total = np.ones(1)
    for a, b in zip(histogram_a.tolist(), histogram_b.tolist(), strict=True):
        shared = np.arange(min(a, b) + 1)
        total = np.convolve(total, hypergeom.pmf(shared, n_neurons, a, b))
    return float(min(1.0, total[count:].sum()))


def within_layer_expected_overlap(
    a: Int[np.ndarray, " k_a"], b: Int[np.ndarray, " k_b"], *, n_layers: int, n_neurons: int
) -> float:
    """Return the mean overlap of random sets with the layer histograms of `a` and `b`.

    Stricter than `expected_overlap` for sets that favour the same layers: the sum over layers of
    k_a * k_b / n_neurons. The two agree when either set is spread evenly.

    Args:
        a: One set of flat indices.
        b: The other set.
        n_layers: Layers of the model.
        n_neurons: Neurons in one layer.

    Raises:
        ValueError: an index is out of range or occurs twice.
    """
    counts = [layer_histogram(x, n_layers=n_layers, n_neurons=n_neurons) for x in (a, b)]
    return float(counts[0] @ counts[1] / n_neurons)


def _check_sizes(k_a: int, k_b: int, n: int) -> None:
    if n < 1 or not (0 <= k_a <= n and 0 <= k_b <= n):
        raise ValueError(f"set sizes must be in [0, n] with n >= 1, got {k_a} and {k_b} with n={n}")
