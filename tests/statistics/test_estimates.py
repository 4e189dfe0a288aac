"""Intervals that cover, p-values that hold their level, and references from SciPy."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, sem, ttest_1samp

from neuron_atlas.statistics import estimates
from neuron_atlas.statistics.estimates import Estimate

N_CLUSTERS = 40


def clustered(rng: np.random.Generator, *, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return items of mean 0 that share a cluster effect, in clusters of 1 to 8 items."""
    clusters = np.repeat(np.arange(N_CLUSTERS), rng.integers(1, 9, size=N_CLUSTERS))
    shared = rng.normal(scale=spread, size=N_CLUSTERS)
    return shared[clusters] + rng.normal(size=len(clusters)), clusters


def coverage(n_runs: int, *, by_item: bool) -> float:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(n_runs):
        values, clusters = clustered(rng)
        unit = np.arange(len(values)) if by_item else clusters
        found = estimates.clustered_bootstrap(values, unit, rng=rng, n_resamples=500)
        hits += found.low <= 0 <= found.high
    return hits / n_runs


def test_bootstrap_covers_what_it_says_and_only_with_clusters() -> None:
    assert coverage(600, by_item=False) == pytest.approx(0.94, abs=0.025)
    assert coverage(200, by_item=True) < 0.8  # positive control: ignoring clusters is too narrow


def test_bootstrap_and_standard_error_agree() -> None:
    rng = np.random.default_rng(1)
    values, clusters = clustered(rng)
    found = estimates.clustered_bootstrap(values, clusters, rng=rng, n_resamples=20_000)
    width = 2 * 1.96 * estimates.clustered_standard_error(values, clusters)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(width, rel=0.1)


def test_bootstrap_is_its_seed_and_takes_any_labels() -> None:
    values, clusters = clustered(np.random.default_rng(2))
    draw = lambda labels, seed: estimates.clustered_bootstrap(  # noqa: E731
        values, labels, rng=np.random.default_rng(seed)
    )
    names = np.array([f"Q{c:03}" for c in clusters])
    assert draw(clusters, 0) == draw(names, 0)
    assert draw(clusters, 0) != draw(clusters, 1)
    assert set(draw(clusters, 0).as_dict()) == {"mean", "low", "high"}


def test_bootstrap_follows_a_shift() -> None:
    values, clusters = clustered(np.random.default_rng(4))
    before, after = (
        estimates.clustered_bootstrap(values + shift, clusters, rng=np.random.default_rng(0))
        for shift in (0, 100)
    )
    expected = [before.mean + 100, before.low + 100, before.high + 100]
    assert list(after.as_dict().values()) == pytest.approx(expected)


def test_a_wider_level_gives_a_wider_interval() -> None:
    values, clusters = clustered(np.random.default_rng(3))
    wide, narrow = (
        estimates.clustered_bootstrap(values, clusters, rng=np.random.default_rng(0), level=level)
        for level in (0.99, 0.5)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_standard_error_of_single_items_is_the_usual_one(values: list[float]) -> None:
    items = np.array(values)
    ours = estimates.clustered_standard_error(items, np.arange(len(items)))
    assert ours == pytest.approx(sem(items), abs=1e-9)


@given(st.integers(0, 1000), st.integers(1, 5))
def test_repeating_items_inside_clusters_adds_no_information(seed: int, copies: int) -> None:
    values = np.random.default_rng(seed).normal(size=10)
    once = estimates.clustered_standard_error(values, np.arange(10))
    more = estimates.clustered_standard_error(
        np.repeat(values, copies), np.repeat(np.arange(10), copies)
    )
    assert more == pytest.approx(once)


def world(
    rng: np.random.Generator, *, n_draws: int, set_sd: float, planted: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a tested set's effects, its draws' and the clusters: sets differ, items cluster."""
    noise, clusters = clustered(rng)
    sets = rng.normal(scale=set_sd, size=(n_draws + 1, 1))
    own = rng.normal(size=(n_draws + 1, N_CLUSTERS))[:, clusters]
    effects = noise + sets + own + rng.normal(size=(n_draws + 1, len(noise)))
    return effects[0] + planted, effects[1:], clusters


def rejections(n_runs: int, *, n_draws: int, set_sd: float, planted: float = 0.0) -> float:
    rng = np.random.default_rng(0)
    runs = (world(rng, n_draws=n_draws, set_sd=set_sd, planted=planted) for _ in range(n_runs))
    return float(np.mean([estimates.excess_over_draws(*run)[1] < 0.05 for run in runs]))


@pytest.mark.parametrize("n_draws", [4, 20])
@pytest.mark.parametrize("set_sd", [0.0, 0.3, 2.0])
def test_one_more_draw_is_rarely_an_excess(n_draws: int, set_sd: float) -> None:
    assert rejections(1200, n_draws=n_draws, set_sd=set_sd) <= 0.062


def test_the_level_is_reached_when_sets_differ_more_than_items() -> None:
    assert rejections(1200, n_draws=20, set_sd=2.0) > 0.035  # not merely conservative


def test_a_planted_excess_is_found() -> None:
    assert rejections(100, n_draws=20, set_sd=0.3, planted=2.0) > 0.95
    effect, draws, clusters = world(np.random.default_rng(1), n_draws=20, set_sd=0.3, planted=2.0)
    found, _ = estimates.excess_over_draws(effect, draws, clusters)
    assert found.low < 2 < found.high
    assert found.mean == pytest.approx((effect - draws).mean())


def test_taking_the_draws_as_fixed_would_reject_too_often() -> None:
    rng = np.random.default_rng(0)
    runs = [world(rng, n_draws=20, set_sd=1.0) for _ in range(200)]
    fixed = [ttest_1samp(effect - draws.mean(0), 0).pvalue for effect, draws, _ in runs]
    assert np.mean(np.array(fixed) < 0.05) > 0.3


@given(st.integers(0, 10_000), st.floats(-3, 3), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60)
def test_interval_and_p_tell_the_same_story(seed: int, planted: float, level: float) -> None:
    run = world(np.random.default_rng(seed), n_draws=5, set_sd=0.5, planted=planted)
    found, p = estimates.excess_over_draws(*run, level=level)
    assert (found.low <= 0 <= found.high) == (p >= 1 - level)


def test_excess_without_any_spread() -> None:
    draws, clusters = np.zeros((3, 4)), np.arange(4)
    assert estimates.excess_over_draws(np.zeros(4), draws, clusters) == (Estimate(0.0, 0.0, 0.0), 1)
    assert estimates.excess_over_draws(np.ones(4), draws, clusters) == (Estimate(1.0, 1.0, 1.0), 0)


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@given(P_VALUES)
def test_benjamini_hochberg_equals_its_definition_and_scipy(p: np.ndarray) -> None:
    q = estimates.benjamini_hochberg(p)
    n = len(p)
    for cell, value in enumerate(p):
        later = [n * x / (p <= x).sum() for x in p if x >= value]
        assert q[cell] == pytest.approx(min(1, *later) if later else 1)
    assert (q == false_discovery_control(p)).all()
    assert (q >= p - 1e-15).all()


def test_benjamini_hochberg_treats_a_table_as_one_family() -> None:
    p = np.array([[0.01, 0.02], [0.03, 0.5]])
    assert estimates.benjamini_hochberg(p) == pytest.approx(np.array([[0.04, 0.04], [0.04, 0.5]]))


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_mcnemar_equals_the_binomial_tail(lost: int, gained: int, same: int) -> None:
    before = np.array([True] * lost + [False] * gained + [True, False] * same, dtype=bool)
    after = np.array([False] * lost + [True] * gained + [True, False] * same, dtype=bool)
    n, few = lost + gained, min(lost, gained)
    tail = sum(comb(n, i) for i in range(few + 1)) / 2**n
    assert estimates.mcnemar(before, after) == pytest.approx(min(1, 2 * tail))
    assert estimates.mcnemar(after, before) == pytest.approx(estimates.mcnemar(before, after))


def test_area_under_curve_by_hand() -> None:
    k = np.array([1, 2, 4])
    curves = np.array([[1.0, 2.0, 4.0], [4.0, 4.0, 4.0], [0.0, 0.0, 4.0]])
    assert estimates.area_under_curve(k, curves).tolist() == [2, 3.5, 1]
    assert estimates.area_under_curve(k, curves[0]) == 2
    assert estimates.area_under_curve(10 * k, -curves[1]) == -3.5


@pytest.mark.parametrize("k", [[0, 1], [1, 1], [2, 1], []])
def test_doses_must_rise_from_above_0(k: list[int]) -> None:
    doses = np.array(k, dtype=np.int64)
    with pytest.raises(ValueError, match="k must rise strictly"):
        estimates.area_under_curve(doses, np.ones(len(k)))


def test_impossible_samples_are_refused() -> None:
    rng, ones, one_cluster = np.random.default_rng(0), np.ones(3), np.zeros(3, dtype=np.int64)
    empty = np.array([], dtype=np.int64)
    bootstrap = estimates.clustered_bootstrap
    with pytest.raises(ValueError, match="got 3 items in 1"):
        bootstrap(ones, one_cluster, rng=rng)
    with pytest.raises(ValueError, match="got 0 items in 0"):
        bootstrap(empty, empty, rng=rng)
    with pytest.raises(ValueError, match="finite, got nan"):
        bootstrap(ones * np.nan, np.arange(3), rng=rng)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        bootstrap(ones, np.arange(3), rng=rng, level=95.0)
    with pytest.raises(ValueError, match="n_resamples must be at least 1"):
        bootstrap(ones, np.arange(3), rng=rng, n_resamples=0)
    with pytest.raises(ValueError, match="at least 2 random draws to measure their spread, got 1"):
        estimates.excess_over_draws(ones, ones[None], np.arange(3))
    with pytest.raises(ValueError, match=r"p in \[0, 1\], got \[nan\]"):
        estimates.benjamini_hochberg(np.array([np.nan]))
