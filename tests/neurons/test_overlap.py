"""Set overlap: algebra, and chance by simulation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.neurons import overlap

N = 30
SETS = st.lists(st.integers(0, N - 1), unique=True, min_size=1).map(np.array)


@given(SETS, SETS)
def test_jaccard_is_a_similarity(a: np.ndarray, b: np.ndarray) -> None:
    similarity = overlap.jaccard(a, b)
    assert overlap.jaccard(a, a) == 1
    assert similarity == overlap.jaccard(b, a)
    assert 0 <= similarity <= 1
    assert (similarity == 1) == (set(a) == set(b))
    assert (similarity == 0) == set(a).isdisjoint(b)


@given(SETS, SETS, SETS)
def test_jaccard_distance_obeys_the_triangle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    ab, bc, ac = (1 - overlap.jaccard(x, y) for x, y in [(a, b), (b, c), (a, c)])
    assert ac <= ab + bc + 1e-12


@given(st.lists(SETS, min_size=1, max_size=4))
def test_overlap_matrix_equals_set_intersections(sets: list[np.ndarray]) -> None:
    expected = [[len(set(a) & set(b)) for b in sets] for a in sets]
    assert overlap.overlap_matrix(sets, N).tolist() == expected


def test_overlap_matrix_takes_an_array_and_refuses_a_foreign_set() -> None:
    sets = np.array([[0, 1], [1, 2]])
    assert overlap.overlap_matrix(sets, 3).tolist() == [[2, 1], [1, 2]]
    with pytest.raises(ValueError, match=r"\[0, 2\), got 2"):
        overlap.overlap_matrix(sets, 2)


def random_overlaps(k_a: int, k_b: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(n), (20_000, 1)), axis=1)
    return (order[:, :k_a] < k_b).sum(axis=1)


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 5), (10, 10), (25, 20)])
def test_chance_equals_simulation(k_a: int, k_b: int) -> None:
    shared = random_overlaps(k_a, k_b, N)
    mean_jaccard = (shared / (k_a + k_b - shared)).mean()
    count = int(np.quantile(shared, 0.9))
    assert overlap.expected_overlap(k_a, k_b, N) == pytest.approx(shared.mean(), rel=0.01)
    assert overlap.expected_jaccard(k_a, k_b, N) == pytest.approx(mean_jaccard, rel=0.02)
    p = overlap.overlap_p_value(count, k_a, k_b, N)
    assert p == pytest.approx((shared >= count).mean(), abs=0.01)


def test_chance_of_the_paper() -> None:
    # Liu et al. 2025: 3,000 of the 835,584 neurons of Llama-2-7B share 10.8 by chance
    assert overlap.expected_overlap(3000, 3000, 835_584) == pytest.approx(10.8, abs=0.05)
    assert overlap.overlap_p_value(2053, 3000, 3000, 835_584) < 1e-300
    assert overlap.overlap_p_value(11, 3000, 3000, 835_584) > 0.4


@given(st.integers(0, N), st.integers(0, N))
def test_p_value_falls_from_1(k_a: int, k_b: int) -> None:
    low, high = max(0, k_a + k_b - N), min(k_a, k_b)
    p = [overlap.overlap_p_value(count, k_a, k_b, N) for count in range(low, high + 1)]
    assert p[0] == pytest.approx(1)
    assert all(0 <= after < before for before, after in pairwise(p))


def test_within_layer_chance_by_hand() -> None:
    a, b = np.array([0, 1, 2, 10]), np.array([3, 4, 20, 21])
    within = overlap.within_layer_expected_overlap(a, b, n_layers=3, n_neurons=10)
    assert within == pytest.approx(3 * 2 / 10)


@given(SETS)
@settings(max_examples=50)
def test_within_layer_chance_is_the_plain_one_for_an_even_set(a: np.ndarray) -> None:
    even = np.array([0, 7, 10, 17, 20, 27])  # two neurons in each layer of ten
    within = overlap.within_layer_expected_overlap(a, even, n_layers=3, n_neurons=10)
    assert within == pytest.approx(overlap.expected_overlap(len(a), 6, N))


def test_within_layer_chance_is_larger_for_sets_of_the_same_layer() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.choice(10, size=4, replace=False) for _ in range(2))
    within = overlap.within_layer_expected_overlap(a, b, n_layers=3, n_neurons=10)
    assert within == pytest.approx(3 * overlap.expected_overlap(4, 4, N))


def test_impossible_sizes_are_refused() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="two empty sets"):
        overlap.jaccard(empty, empty)
    with pytest.raises(ValueError, match="k_a = k_b = 0"):
        overlap.expected_jaccard(0, 0, N)
    with pytest.raises(ValueError, match="got 31 and 3 with n=30"):
        overlap.expected_overlap(31, 3, N)
    with pytest.raises(ValueError, match="share 5 to 15, got 4"):
        overlap.overlap_p_value(4, 15, 20, N)


def test_within_layer_p_is_the_share_of_random_sets_that_share_as_many() -> None:
    rng = np.random.default_rng(0)
    a, b, n = np.array([5, 1]), np.array([4, 3]), 12
    draws = [
        sum(
            len(np.intersect1d(rng.choice(n, x, replace=False), rng.choice(n, y, replace=False)))
            for x, y in zip(a, b, strict=True)
        )
        for _ in range(4000)
    ]
    for count in range(5):
        expected = np.mean(np.array(draws) >= count)
        assert overlap.within_layer_p_value(count, a, b, n) == pytest.approx(expected, abs=0.03)


def test_sets_that_merely_favour_the_same_layer_do_not_share_beyond_chance() -> None:
    a = b = np.array([0, 100, 0])
    assert overlap.overlap_p_value(40, 100, 100, 3 * 250) < 1e-6
    assert overlap.within_layer_p_value(40, a, b, 250) > 0.3
