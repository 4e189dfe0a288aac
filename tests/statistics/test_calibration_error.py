"""Calibration errors by hand, and scores that become probabilities."""

import numpy as np
import pytest
from scipy.special import expit

from neuron_atlas.statistics import calibration, discrimination


def test_ten_bins_of_equal_size_by_hand() -> None:
    probability = np.arange(20) / 20
    assert np.bincount(calibration.equal_mass_bins(probability)).tolist() == [2] * 10
    labels = np.arange(20) >= 10
    pairs = (probability - labels).reshape(10, 2).mean(1)
    error = calibration.calibration_error(labels, probability)
    assert error[0] == pytest.approx(np.abs(pairs).mean())


def test_a_constant_has_one_bin() -> None:
    labels = np.arange(40) % 4 == 0
    assert calibration.calibration_error(labels, np.full(40, 0.25))[0] == pytest.approx(0)
    assert calibration.calibration_error(labels, np.ones(40))[0] == pytest.approx(0.75)


def test_true_probabilities_are_calibrated_and_turned_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    labels = rng.random(20_000) < probability
    assert calibration.calibration_error(labels, probability)[0] < 0.02
    assert calibration.calibration_error(labels, 1 - probability)[0] > 0.4


def test_a_sample_that_has_each_claim_twice_is_the_same() -> None:
    rng = np.random.default_rng(1)
    labels, probability = rng.random(200) < 0.3, rng.random(200)
    weights = np.stack([np.ones(200), np.full(200, 2.0)])
    found = calibration.calibration_error(labels, probability, weights)
    assert found == pytest.approx(calibration.calibration_error(labels, probability)[0])


@pytest.mark.parametrize("unit", [1.0, 1e-3, -1e3])
def test_the_slope_is_found_in_any_unit(unit: float) -> None:
    rng = np.random.default_rng(2)
    score = rng.normal(size=40_000)
    labels = rng.random(len(score)) < expit(1.5 * score)
    judged = score[:100] + 0.5  # not spread as the fitted ones are, whose unit counts
    found = calibration.platt(unit * score + 7, labels, unit * judged + 7)
    np.testing.assert_allclose(found, expit(1.5 * judged), atol=0.03)


def test_a_constant_score_gets_the_share_of_true_claims() -> None:
    labels = np.array([True, False, False, False])
    assert calibration.platt(np.ones(4), labels, np.zeros(2)) == pytest.approx(0.25)


def test_the_error_in_samples_weighs_claims_in_the_bins_of_all() -> None:
    rng = np.random.default_rng(4)
    labels, probability = rng.random(60) < 0.3, rng.random(60)
    weights = rng.integers(0, 4, size=(5, 60)).astype(np.float64)
    bins = calibration.equal_mass_bins(probability)
    found = calibration.calibration_error(labels, probability, weights)
    for value, own in zip(found, weights, strict=True):
        off = [abs((own * (probability - labels))[bins == b].sum()) for b in range(10)]
        assert value == pytest.approx(sum(off) / own.sum())
    assert found.std() > 0


def test_f1_in_samples_is_that_of_the_repeated_claims() -> None:
    rng = np.random.default_rng(3)
    facts = np.repeat([f"f{i}" for i in range(20)], 4)
    labels, scores = np.arange(80) % 4 == 0, rng.normal(size=80)
    samples = discrimination.resamples(facts, rng=rng, n=5)
    found = samples.f1(labels, scores, 0.2)
    for value, weights in zip(found, samples.weights, strict=True):
        again = np.repeat(np.arange(80), weights.astype(int))
        assert value == pytest.approx(discrimination.f1(labels[again], scores[again], 0.2))
