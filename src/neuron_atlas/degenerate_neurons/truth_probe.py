"""A sparse linear probe of truth on all neurons' contributions: what there is to be had."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import l1_min_c

STRENGTHS = (1.5, 2.0, 3.0, 5.0, 8.0, 16.0)  # times the C below which no neuron has a weight
INTERCEPT = 10.0  # liblinear's, so large that the penalty hardly touches the intercept


@dataclass(frozen=True)
class TruthProbe:
    """A logistic regression on contributions, most of whose weights are 0.

    Attributes:
        weights: Of each neuron, log-odds per unit of its contribution.
        intercept: Log-odds of a claim to which no neuron contributes.
        strength: scikit-learn's C, the inverse of the L1 penalty, that validation chose.
    """

    weights: Float64[np.ndarray, " neuron"]
    intercept: float
    strength: float

    @property
    def n_neurons(self) -> int:
        """Neurons with a weight."""
        return int(np.count_nonzero(self.weights))

    def probability(
        self, contributions: Float[np.ndarray, "claim neuron"]
    ) -> Float64[np.ndarray, " claim"]:
        """Return the probability that each claim is true."""
        return np.asarray(expit(contributions @ self.weights + self.intercept), dtype=np.float64)


def fit(
    train: Float[np.ndarray, "claim neuron"],
    labels: Bool[np.ndarray, " claim"],
    validation: Float[np.ndarray, "validated neuron"],
    validation_labels: Bool[np.ndarray, " validated"],
) -> TruthProbe | None:
    """Fit the probe, with the L1 penalty of the smallest log-loss on the validation claims.

    L1-penalised logistic regression (Tibshirani 1996, JRSS B 58; Lee et al. 2006, AAAI) by
    liblinear's coordinate descent. Contributions are divided by their standard deviation over the
    training claims; a constant one has weight 0. Of penalties that do equally well the largest is
    taken, which keeps the fewest neurons.

    Args:
        train: Contribution of each neuron to each training claim's answer, in any one unit.
        labels: Which of these claims are true.
        validation: The same of claims about other subjects with other answers.
        validation_labels: Which of these are true.

    Returns:
        The probe; None where the claims of a split are all true, all false, or none.
    """
    if len(np.unique(labels)) < 2 or len(np.unique(validation_labels)) < 2:
        return None
    scale = train.std(axis=0, dtype=np.float64)
    moving = np.flatnonzero(scale > 0)
    if not len(moving):
        return None
    values = np.asarray(train[:, moving] / scale[moving], dtype=np.float64)
    least = l1_min_c(values, labels, loss="log", intercept_scaling=INTERCEPT)
    tried = [_fitted(values, labels, float(least * times)) for times in STRENGTHS]
    probes = [_spread(model, scale, moving) for model in tried]
    losses = [log_loss(validation_labels, one.probability(validation)) for one in probes]
    return probes[int(np.argmin(losses))]


def _fitted(
    values: Float64[np.ndarray, "claim moving"], labels: Bool[np.ndarray, " claim"], strength: float
) -> LogisticRegression:
    model = LogisticRegression(
        C=strength,
        l1_ratio=1.0,
        solver="liblinear",
        intercept_scaling=INTERCEPT,
        max_iter=1000,
        random_state=0,
    )
    return model.fit(values, labels)


def _spread(
    model: LogisticRegression,
    scale: Float64[np.ndarray, " neuron"],
    moving: Int[np.ndarray, " moving"],
) -> TruthProbe:
    """Return the probe over all neurons, in the contributions' own unit."""
    weights = np.zeros(len(scale))
    weights[moving] = model.coef_[0] / scale[moving]
    return TruthProbe(weights, float(model.intercept_[0]), float(model.C))
