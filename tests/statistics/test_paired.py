"""Paired comparison: the sign test by hand, its calibration, and the words of a verdict."""

import numpy as np
import pytest

from neuron_atlas.statistics.estimates import Estimate
from neuron_atlas.statistics.paired import contrast
from neuron_atlas.verdicts.verdict import gain


def test_the_sign_test_equals_the_one_over_all_signs() -> None:
    """Four facts of 1, 2, 3 and 4: of 16 signings 2 are as large, so p is 1/8."""
    values = np.array([1.0, 2.0, 3.0, 4.0])
    rng = np.random.default_rng(0)
    found = contrast(values, np.arange(4), rng=rng, n_resamples=20_000)
    assert found.p_value == pytest.approx(2 / 16, abs=0.01)
    assert found.effect.mean == 2.5


def test_a_facts_languages_flip_together() -> None:
    """Six languages of one fact are one observation: two facts can never give a p below 1/2."""
    values, facts = np.ones(12), np.repeat(["a", "b"], 6)
    found = contrast(values, facts, rng=np.random.default_rng(0), n_resamples=4000)
    assert found.p_value == pytest.approx(0.5, abs=0.03)
    alone = contrast(values, np.arange(12), rng=np.random.default_rng(0), n_resamples=4000)
    assert alone.p_value < 0.01  # twelve facts that agree do


def test_p_is_uniform_if_there_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    p = [
        contrast(rng.normal(size=20), np.arange(20), rng=rng, n_resamples=199).p_value
        for _ in range(300)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("low", "high", "p_value", "word"),
    [
        (0.1, 0.3, 0.01, "supported"),
        (0.1, 0.3, 0.2, "undecided"),
        (-0.1, 0.3, 0.01, "undecided"),
        (-0.3, 0.04, 0.5, "not supported"),
        (0.01, 0.04, 0.01, "not supported"),  # beyond chance, but negligible
    ],
)
def test_words(low: float, high: float, p_value: float, word: str) -> None:
    effect = Estimate((low + high) / 2, low, high)
    assert gain(effect, p_value, negligible=0.05) == word
