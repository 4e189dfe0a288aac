"""How far stated probabilities are from what happens, and scores turned into probabilities."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logit

N_BINS = 10
STEEPEST = 50.0  # log-odds per standard deviation of a score


def equal_mass_bins(
    probability: Float[np.ndarray, " claim"], n_bins: int = N_BINS
) -> Int[np.ndarray, " claim"]:
    """Return each claim's bin: bins of equal size, as far as equal probabilities allow.

    Equal probabilities are in one bin, so that a constant one has a single bin.
    """
    edges = np.quantile(probability, np.arange(1, n_bins) / n_bins, method="higher")
    return np.asarray(np.searchsorted(np.unique(edges), probability, side="right"), dtype=np.int64)


def calibration_error(
    labels: Bool[np.ndarray, " claim"],
    probability: Float[np.ndarray, " claim"],
    weights: Float[np.ndarray, "sample claim"] | None = None,
) -> Float64[np.ndarray, " sample"]:
    """Return the expected calibration error: by how much bins' probabilities miss their shares.

    The mean over claims of |mean probability - share of true claims| of the claim's bin (Naeini et
    al. 2015, AAAI), with ten bins of equal mass (Nguyen and O'Connor 2015, EMNLP). With few claims
    it is above 0 for a perfectly calibrated probability too.

    Args:
        labels: Which claims are true.
        probability: Stated for each, in [0, 1].
        weights: How often each sample has each claim; by default one sample of them all. Bins are
            those of all claims.
    """
    counted = np.ones((1, len(labels))) if weights is None else weights
    in_bin = np.eye(N_BINS)[equal_mass_bins(probability)]
    off = counted @ (in_bin * (probability - labels)[:, None])
    return np.asarray(np.abs(off).sum(1) / counted.sum(1), dtype=np.float64)


def platt(
    fit: Float[np.ndarray, " fitted"],
    labels: Bool[np.ndarray, " fitted"],
    scores: Float[np.ndarray, " claim"],
) -> Float64[np.ndarray, " claim"]:
    """Return probabilities of scores, by one parameter that is fitted on other claims.

    After Platt 1999, with the slope alone: log-odds are those of the share of true claims, plus the
    slope times the score in standard deviations above its mean. A constant score gets that share.

    Args:
        fit: Scores of the claims on which the slope is fitted, such as validation claims.
        labels: Which of these are true; some are, and some are not.
        scores: The claims to judge.
    """
    spread, base = float(fit.std()), float(logit(labels.mean()))
    if spread == 0:
        return np.full(len(scores), float(labels.mean()))
    standard, sign = (fit - fit.mean()) / spread, np.where(labels, 1.0, -1.0)
    slope = minimize_scalar(
        lambda a: -float(log_expit(sign * (base + a * standard)).sum()),
        bounds=(-STEEPEST, STEEPEST),
        method="bounded",
    ).x
    return np.asarray(expit(base + slope * (scores - fit.mean()) / spread), dtype=np.float64)
