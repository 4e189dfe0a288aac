"""Areas, thresholds and intervals against scikit-learn, SciPy and known answers."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from neuron_atlas.statistics import discrimination

N = 400


def claims(*, seed: int = 0, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores (with ties) and facts: one true claim of four."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 4 == 0
    scores = np.round(rng.normal(size=N) + gain * labels, 1)
    return labels, scores, np.arange(N) // 4


def test_the_area_is_the_chance_to_rank_a_true_claim_higher() -> None:
    labels, scores, _ = claims()
    u = mannwhitneyu(scores[labels], scores[~labels]).statistic
    expected = u / (labels.sum() * (~labels).sum())
    assert discrimination.auroc(labels, scores) == pytest.approx(expected)
    assert discrimination.auroc(labels, -scores) == pytest.approx(1 - expected)


def test_always_true_on_a_balanced_set_has_f1_two_thirds_and_area_one_half() -> None:
    labels = np.array([True, False] * 10)
    scores = np.ones(20)
    threshold = discrimination.best_threshold(labels, scores)
    assert discrimination.f1(labels, scores, threshold) == pytest.approx(2 / 3)
    assert discrimination.auroc(labels, scores) == 0.5
    assert discrimination.average_precision(labels, scores) == 0.5


def test_precision_and_recall_are_not_swapped() -> None:
    """Many claims called true: precision 0.3, recall 1; the threshold is the one found by hand."""
    labels = np.array([True] * 3 + [False] * 97)
    scores = np.r_[0.9, 0.5, 0.4, [0.45] * 7, [0.1] * 90]
    threshold = discrimination.best_threshold(labels, scores)
    candidates = np.unique(scores)
    by_hand = []
    for t in candidates:
        called = scores >= t
        precision = (labels & called).sum() / called.sum()
        recall = (labels & called).sum() / labels.sum()
        by_hand.append(2 * precision * recall / (precision + recall))
    assert threshold == candidates[int(np.argmax(by_hand))] == 0.5
    assert discrimination.f1(labels, scores, threshold) == pytest.approx(max(by_hand))
    assert discrimination.f1(labels, scores, 0.4) == pytest.approx(2 * 0.3 / 1.3)
    assert discrimination.f1(labels, scores, 9.0) == 0


def test_the_best_threshold_of_other_claims_is_not_tuned_on_the_test() -> None:
    """A score without information: tuned on itself F1 rises above what validation gives."""
    honest, tuned = [], []
    for seed in range(60):
        labels, scores, _ = claims(seed=seed, gain=0.0)
        fit, test = slice(0, N // 2), slice(N // 2, N)
        threshold = discrimination.best_threshold(labels[fit], scores[fit])
        own = discrimination.best_threshold(labels[test], scores[test])
        honest.append(discrimination.f1(labels[test], scores[test], threshold))
        tuned.append(discrimination.f1(labels[test], scores[test], own))
    assert np.mean(honest) < np.mean(tuned)
    assert np.mean(honest) <= 0.4 + 0.005  # always-true with one in four


def test_sampled_areas_equal_scikit_learn_with_weights() -> None:
    labels, scores, facts = claims()
    samples = discrimination.resamples(facts, rng=np.random.default_rng(1), n=20)
    found = samples.auroc(labels, scores)
    for counts, value in zip(samples.counts, found, strict=True):
        weights = counts[samples.member]
        assert value == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert (samples.counts.sum(1) == len(np.unique(facts))).all()


def test_intervals_cover_and_a_difference_of_nothing_is_not_significant() -> None:
    hits, rejected = 0, 0
    n_runs = 60
    truth = discrimination.auroc(*_many(gain=1.0)[:2])
    for seed in range(n_runs):
        labels, scores, facts = claims(seed=seed)
        other = claims(seed=1000 + seed)[1]
        samples = discrimination.resamples(facts, rng=np.random.default_rng(seed), n=300)
        own = samples.auroc(labels, scores)
        one = discrimination.interval(discrimination.auroc(labels, scores), own)
        hits += one.low <= truth <= one.high
        less = discrimination.interval(0.0, own - samples.auroc(labels, other))
        rejected += not less.low <= 0 <= less.high
    assert hits / n_runs == pytest.approx(0.95, abs=0.08)
    assert rejected / n_runs < 0.15


def _many(*, gain: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    labels = np.arange(20_000) % 4 == 0
    return labels, rng.normal(size=20_000) + gain * labels


def test_a_better_score_is_significantly_better() -> None:
    labels, scores, facts = claims()
    samples = discrimination.resamples(facts, rng=np.random.default_rng(0), n=500)
    better = samples.auroc(labels, scores + labels)
    assert np.quantile(better - samples.auroc(labels, scores), 0.005) > 0
    with pytest.raises(ValueError, match="at least 2 facts"):
        discrimination.resamples(np.zeros(3), rng=np.random.default_rng(0), n=5)


def test_the_combination_uses_what_the_second_score_adds() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2 == 0
    scores = rng.normal(size=(4000, 2)) * [1.0, 50.0] + labels[:, None] * [1.0, 50.0]
    noise = np.c_[scores[:, 0], rng.normal(size=4000)]
    fit, test = slice(0, 2000), slice(2000, 4000)
    alone = discrimination.auroc(labels[test], scores[test, 0])

    def area(both: np.ndarray) -> float:
        return discrimination.auroc(
            labels[test], discrimination.combined(both[fit], labels[fit], both[test])
        )

    assert area(scores) > alone + 0.05
    assert area(noise) == pytest.approx(alone, abs=0.01)
