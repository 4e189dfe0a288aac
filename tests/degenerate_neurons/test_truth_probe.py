"""The probe finds a planted truth neuron on new subjects and answers, and nothing in noise."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from test_claims import made, table

from neuron_atlas.degenerate_neurons import truth_probe
from neuron_atlas.degenerate_neurons.truth_probe import TruthProbe

N_NEURONS, TRUTH, FIRST = 600, 7, 20


def contributions(claims: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Noise, a neuron that tells truth, and neurons of single subjects and answers.

    The latter tell every training claim, and nothing of a claim with another answer. Scales differ
    by orders of magnitude, as layers' do.
    """
    values = rng.normal(size=(len(claims), N_NEURONS))
    values[:, TRUTH] += 3.0 * claims["label"].to_numpy()
    names = claims["fact"] + claims["claimed"]
    own = pd.factorize(names)[0] % (N_NEURONS - FIRST) + FIRST
    values[np.arange(len(claims)), own] += 5.0 * claims["label"].to_numpy()
    values[:, 3] = 0.25  # constant
    return (values * np.logspace(-3, 1, N_NEURONS)).astype(np.float32)


def fitted(claims: pd.DataFrame, values: np.ndarray) -> TruthProbe | None:
    label, split = claims["label"].to_numpy(bool), claims["split"].to_numpy(str)
    train, validation = split == "train", split == "validation"
    return truth_probe.fit(values[train], label[train], values[validation], label[validation])


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return made(table(160))


def test_a_planted_truth_neuron_is_found_on_new_subjects_and_answers(claims: pd.DataFrame) -> None:
    values = contributions(claims, np.random.default_rng(0))
    probe = fitted(claims, values)
    assert probe is not None
    assert np.abs(probe.weights * np.logspace(-3, 1, N_NEURONS)).argmax() == TRUTH
    assert 1 <= probe.n_neurons < N_NEURONS / 4
    assert probe.weights[3] == 0
    test = claims["split"].to_numpy(str) == "test"
    judged, truth = probe.probability(values[test]), claims["label"].to_numpy(bool)[test]
    assert ((judged >= 0) & (judged <= 1)).all()
    assert roc_auc_score(truth, judged) > 0.93
    assert judged.mean() == pytest.approx(truth.mean(), abs=0.1)


def test_shuffled_labels_are_not_told(claims: pd.DataFrame) -> None:
    areas = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shuffled = claims.assign(label=rng.permutation(claims["label"].to_numpy(bool)))
        values = contributions(claims, rng)
        probe = fitted(shuffled, values)
        assert probe is not None
        test = shuffled[shuffled["split"] == "test"]
        judged = probe.probability(values[test.index])
        areas.append(roc_auc_score(test["label"], judged))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)


def test_the_same_claims_give_the_same_probe(claims: pd.DataFrame) -> None:
    values = contributions(claims, np.random.default_rng(1))
    first, again = fitted(claims, values), fitted(claims, values)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.weights, again.weights)


def test_without_both_kinds_of_claims_there_is_no_probe(claims: pd.DataFrame) -> None:
    values = contributions(claims, np.random.default_rng(0))
    assert fitted(claims.assign(label=True), values) is None
    assert fitted(claims.assign(split="validation"), values) is None
    assert fitted(claims, np.ones_like(values)) is None
