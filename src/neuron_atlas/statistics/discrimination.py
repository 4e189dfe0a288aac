"""How well a score tells true claims from false ones, with intervals over facts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuron_atlas.statistics.estimates import Estimate

LEVEL = 0.95


def auroc(labels: Bool[np.ndarray, " claim"], scores: Float[np.ndarray, " claim"]) -> float:
    """Return the chance that a true claim scores above a false one, ties counting half."""
    return float(roc_auc_score(labels, scores))


def average_precision(
    labels: Bool[np.ndarray, " claim"], scores: Float[np.ndarray, " claim"]
) -> float:
    """Return the average precision; the share of true claims for a score that says nothing."""
    return float(average_precision_score(labels, scores))


def best_threshold(
    labels: Bool[np.ndarray, " claim"], scores: Float[np.ndarray, " claim"]
) -> float:
    """Return the threshold t at which calling `score >= t` true has the largest F1.

    The smallest of equally good ones. Meant for validation claims, never for test claims.
    """
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    total = precision[:-1] + recall[:-1]
    f1 = 2 * precision[:-1] * recall[:-1] / np.where(total > 0, total, 1)
    return float(thresholds[f1.argmax()])


def f1(
    labels: Bool[np.ndarray, " claim"], scores: Float[np.ndarray, " claim"], threshold: float
) -> float:
    """Return F1 of calling `score >= threshold` true; 0 where that is no true claim."""
    return float(f1_score(labels, scores >= threshold, zero_division=0))


def combined(
    fit: Float[np.ndarray, "fitted score"],
    labels: Bool[np.ndarray, " fitted"],
    scores: Float[np.ndarray, "claim score"],
) -> Float64[np.ndarray, " claim"]:
    """Return the log-odds that each claim is true, by logistic regression on standardised scores.

    Args:
        fit: Scores of the claims on which the regression is fitted, such as validation claims.
        labels: Which of these claims are true.
        scores: The same scores of the claims to judge.
    """
    regression = make_pipeline(StandardScaler(), LogisticRegression())
    return np.asarray(regression.fit(fit, labels).decision_function(scores))


@dataclass(frozen=True)
class Resamples:
    """Bootstrap samples of facts: how often each sample contains each fact.

    All claims of a fact, in all languages, come and go together. The same samples serve all
    scores, so that differences of two scores are paired.
    """

    member: Int[np.ndarray, " claim"]
    counts: Int[np.ndarray, "sample fact"]

    @property
    def weights(self) -> Float64[np.ndarray, "sample claim"]:
        """How often each sample contains each claim."""
        return self.counts[:, self.member].astype(np.float64)

    def f1(
        self,
        labels: Bool[np.ndarray, " claim"],
        scores: Float[np.ndarray, " claim"],
        threshold: float,
    ) -> Float64[np.ndarray, " sample"]:
        """Return F1 of calling `score >= threshold` true in each sample; 0 with no true claim."""
        called = scores >= threshold
        right, wrong = (self.weights @ part for part in (called & labels, called ^ labels))
        total = 2 * right + wrong
        return np.asarray(2 * right / np.where(total > 0, total, 1.0), dtype=np.float64)

    def auroc(
        self, labels: Bool[np.ndarray, " claim"], scores: Float[np.ndarray, " claim"]
    ) -> Float64[np.ndarray, " sample"]:
        """Return the area under the curve in each sample: claims weighted by their fact's count."""
        n_facts = self.counts.shape[1]
        one_hot = np.eye(n_facts)[self.member]
        true, false = scores[labels][:, None], scores[~labels][None]
        wins = (true > false) + 0.5 * (true == false)
        between = one_hot[labels].T @ wins @ one_hot[~labels]
        positive, negative = one_hot[labels].sum(0), one_hot[~labels].sum(0)
        won = np.einsum("sf,fg,sg->s", self.counts, between, self.counts, optimize=True)
        pairs: Float64[np.ndarray, " sample"] = (self.counts @ positive) * (self.counts @ negative)
        return np.asarray(won / pairs, dtype=np.float64)


def resamples(
    facts: Shaped[np.ndarray, " claim"], *, rng: np.random.Generator, n: int
) -> Resamples:
    """Draw `n` bootstrap samples of the facts, with replacement.

    Raises:
        ValueError: there are fewer than two facts.
    """
    names, member = np.unique(facts, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"expected claims about at least 2 facts, got {len(names)}; "
            "raise degenerate_neurons.claims.n_test"
        )
    chances = np.full(len(names), 1 / len(names))
    return Resamples(member, rng.multinomial(len(names), chances, size=n))


def interval(value: float, samples: Float[np.ndarray, " sample"]) -> Estimate:
    """Return a value with the percentile interval of its bootstrap samples."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
