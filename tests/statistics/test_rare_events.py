"""Differences of rare rates: calibrated where relations hardly vary, p and interval agree."""

import numpy as np
import pytest

from neuron_atlas.statistics.random_effects import MeanTest, over_relations
from neuron_atlas.statistics.rare_events import rate_difference

N_RELATIONS, EACH, N = 12, 12, 20


def drawn(rng: np.random.Generator, own: float, null: float) -> MeanTest:
    """Test independent events of two rates."""
    relation = np.repeat(np.arange(N_RELATIONS), EACH)
    fact = np.arange(len(relation)).astype(str)
    counts = [rng.binomial(N, rate, size=len(fact)) for rate in (own, null)]
    return rate_difference(
        (counts[0] - counts[1]) / N,
        np.full(len(fact), N),
        fact,
        relation.astype(str),
        events=(int(counts[0].sum()), int(counts[1].sum())),
    )


@pytest.mark.parametrize("rate", [0.0003, 0.003, 0.05])
def test_equal_rates_are_rarely_told_apart(rate: float) -> None:
    rng = np.random.default_rng(0)
    found = [drawn(rng, rate, rate) for _ in range(300)]
    assert np.mean([one.p_value < 0.05 for one in found]) < 0.08
    covered = np.mean([one.effect.low <= 0 <= one.effect.high for one in found])
    assert covered == np.mean([one.p_value >= 0.05 for one in found])


@pytest.mark.parametrize("null", [0.0, 0.003])
def test_the_detectable_rate_is_found_in_about_80_of_100_runs(null: float) -> None:
    rng = np.random.default_rng(1)
    mde = float(np.median([drawn(rng, null, null).mde for _ in range(50)]))
    power = np.mean([drawn(rng, null + mde, null).p_value < 0.05 for _ in range(300)])
    assert 0.7 < power < 0.95


def test_no_event_says_as_much_as_there_were_trials() -> None:
    few = drawn(np.random.default_rng(0), 0.0, 0.0)
    assert few.effect.mean == 0
    assert few.p_value == 1
    trials = N_RELATIONS * EACH * N
    assert few.effect.high == pytest.approx(3.1 / trials, rel=0.02)  # two counts of 1, t of 11
    assert few.mde == pytest.approx(11 / trials, rel=0.1)


def test_where_relations_differ_more_than_counts_it_is_the_test_over_relations() -> None:
    rng = np.random.default_rng(2)
    relation = np.repeat(np.arange(N_RELATIONS), EACH).astype(str)
    fact = np.arange(len(relation)).astype(str)
    difference = 0.2 * np.repeat(rng.normal(size=N_RELATIONS), EACH)
    n, known = np.full(len(fact), N), over_relations(difference, fact, relation)
    found = rate_difference(difference, n, fact, relation, events=(3, 3))
    assert found.effect == known.effect
    assert found.p_value == known.p_value
    assert found.mde >= known.mde * 0.99
