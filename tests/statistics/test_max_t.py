"""Families of cells: the moderated variance's laws, and the level over the family."""

import numpy as np
import pytest

from neuron_atlas.statistics.max_t import Between, moderated, simultaneous
from neuron_atlas.statistics.random_effects import MeanTest

CELLS, FACTS = 90, 8
CELL, FACT = np.repeat(np.arange(CELLS), FACTS), np.tile(np.arange(FACTS), CELLS)


def family(rng: np.random.Generator, *, effect: float = 0.0, drawn: float = 0.0) -> list[MeanTest]:
    """Cells of eight facts, whose noise varies; the first six have an effect."""
    scale = np.exp(0.4 * rng.normal(size=(CELLS, 1)))
    values = 0.1 * scale * rng.normal(size=(CELLS, FACTS)) + drawn * rng.normal(size=(CELLS, 1))
    values[:6] += effect
    between = (
        Between(np.full(CELLS, drawn**2), np.zeros(CELLS), np.full(CELLS, 3.0)) if drawn else None
    )
    return simultaneous(values.ravel(), CELL, FACT, between=between)


@pytest.mark.parametrize("drawn", [0.0, 0.05])
def test_few_families_of_nothing_have_a_finding(drawn: float) -> None:
    rng = np.random.default_rng(0)
    false = [min(f.p_value for f in family(rng, drawn=drawn)) < 0.05 for _ in range(200)]
    assert np.mean(false) < 0.1


def test_moderation_finds_what_eight_facts_alone_do_not() -> None:
    rng = np.random.default_rng(1)
    found = np.mean([family(rng, effect=-0.2)[0].p_value < 0.05 for _ in range(60)])
    assert found > 0.6
    alone = simultaneous(rng.normal(size=FACTS), np.zeros(FACTS), FACT[:FACTS])[0]
    assert alone.freedom == FACTS - 1  # one cell borrows nothing


def test_equal_variances_are_pooled_and_unequal_ones_are_not() -> None:
    rng = np.random.default_rng(2)
    freedom = np.full(400, 7)
    equal = rng.chisquare(7, size=400) / 7
    shrunk, total = moderated(equal, freedom, limit=1000.0)
    assert shrunk.std() < 0.2 * equal.std()
    assert total[0] > 40
    unequal = equal * np.exp(3 * rng.normal(size=400))
    kept, own = moderated(unequal, freedom, limit=1000.0)
    assert np.corrcoef(np.log(kept), np.log(unequal))[0, 1] > 0.98
    assert own[0] < 9
    assert moderated(equal, freedom, limit=5.0)[1][0] <= 12


def test_the_prior_is_the_one_that_made_the_variances() -> None:
    """Smyth's model: true variances 4 * 10 / chi2(10), so 10 degrees are borrowed."""
    rng = np.random.default_rng(3)
    true = 4 * 10 / rng.chisquare(10, size=20_000)
    seen = true * rng.chisquare(7, size=20_000) / 7
    shrunk, total = moderated(seen, np.full(20_000, 7), limit=1e6)
    assert total[0] - 7 == pytest.approx(10, rel=0.1)
    np.testing.assert_allclose(shrunk, (10 * 4 + 7 * seen) / 17, rtol=0.05)


def test_a_cell_of_one_fact_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 2 facts"):
        simultaneous(np.zeros(3), np.array([0, 0, 1]), np.array([0, 1, 0]))
