"""Clustered t tests: equal to SciPy's, calibrated, and never at odds with their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from neuron_atlas.statistics import random_effects
from neuron_atlas.statistics.random_effects import t_test


def test_one_relation_counts_once_however_many_facts_it_has() -> None:
    """Means by hand: relation a has facts of 1 and 3 (mean 2), b one fact of 4 and 6 (mean 5)."""
    values = np.array([1.0, 3.0, 3.0, 4.0, 6.0])
    facts = np.array(["a1", "a2", "a2", "b1", "b1"])
    relations = np.array(["a", "a", "a", "b", "b"])
    means = random_effects.relation_means(values, facts, relations)
    np.testing.assert_allclose(means, [2.0, 5.0])
    assert random_effects.over_relations(values, facts, relations).effect.mean == 3.5


def test_it_is_the_t_test_over_cluster_means() -> None:
    rng = np.random.default_rng(0)
    values, facts = rng.normal(0.3, 1, size=60), np.repeat(np.arange(12), 5)
    found = random_effects.over_relations(values, facts, facts)
    reference = ttest_1samp(values.reshape(12, 5).mean(axis=1), 0)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.statistic == pytest.approx(reference.statistic)
    interval = reference.confidence_interval()
    assert (found.effect.low, found.effect.high) == pytest.approx(tuple(interval))


@pytest.mark.parametrize("n", [4, 10])
def test_intervals_cover_and_an_effect_of_the_mde_is_found_in_80_of_100(n: int) -> None:
    """The mde is taken at the true spread; that of one run scatters as its standard error does."""
    rng = np.random.default_rng(n)
    runs = [random_effects.over_clusters(rng.normal(size=n)) for _ in range(4000)]
    covered = np.mean([run.effect.low <= 0 <= run.effect.high for run in runs])
    assert covered == pytest.approx(0.95, abs=0.012)
    mde = t_test(0.0, 1 / np.sqrt(n), float(n - 1)).mde
    there = [random_effects.over_clusters(rng.normal(mde, size=n)) for _ in range(4000)]
    assert np.mean([run.p_value < 0.05 for run in there]) == pytest.approx(0.8, abs=0.06)


@given(
    mean=st.floats(-5, 5),
    error=st.floats(0.01, 5),
    freedom=st.floats(1, 500),
    n_tests=st.integers(1, 200),
)
def test_interval_and_p_never_disagree(
    mean: float, error: float, freedom: float, n_tests: int
) -> None:
    found = t_test(mean, error, freedom, n_tests=n_tests)
    if abs(found.p_value - 0.05) > 1e-6:
        assert (found.effect.low > 0 or found.effect.high < 0) == (found.p_value < 0.05)
    assert 0 <= found.p_value <= 1
    assert found.mde > 0


def test_what_does_not_vary_is_certain() -> None:
    same = random_effects.over_clusters(np.full(3, -0.5))
    assert (same.p_value, same.effect.high, same.statistic) == (0.0, -0.5, -np.inf)
    assert random_effects.over_clusters(np.zeros(3)).p_value == 1.0


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan]])
def test_too_few_or_missing_values_are_an_error(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 finite"):
        random_effects.over_clusters(np.array(values))
    with pytest.raises(ValueError, match="level"):
        t_test(0.0, 1.0, 3.0, level=1.5)
