"""Holm's correction against an example worked out by hand."""

import numpy as np
import pytest

from neuron_atlas.statistics.holm import holm


def test_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04; none may fall."""
    p = np.array([0.04, 0.01, 0.03, 0.02])
    np.testing.assert_allclose(holm(p), [0.06, 0.04, 0.06, 0.06])


def test_a_test_that_was_not_made_is_not_counted() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.9])), [0.02, np.nan, 0.9])
    assert holm(np.array([0.8, 0.9]))[0] == 1.0  # never above 1


def test_any_false_rejection_is_rare() -> None:
    p = np.random.default_rng(0).uniform(size=(2000, 10))
    assert np.mean([holm(row).min() < 0.05 for row in p]) == pytest.approx(0.05, abs=0.015)
    assert np.mean(p.min(axis=1) < 0.05) > 0.3  # positive control: uncorrected


def test_no_probability() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        holm(np.array([1.2]))
