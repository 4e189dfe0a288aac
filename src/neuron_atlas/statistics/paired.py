"""Comparison of two ways of choosing neurons on the same facts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from neuron_atlas.statistics.estimates import Estimate, clustered_bootstrap


@dataclass(frozen=True)
class Contrast:
    """A mean paired difference with its interval, and the p of one as large by chance."""

    effect: Estimate
    p_value: float


def contrast(
    difference: Float[np.ndarray, " item"],
    clusters: Shaped[np.ndarray, " item"],
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> Contrast:
    """Test whether the mean of paired differences is 0, by flipping the signs of whole clusters.

    If both ways are equally good, a fact's differences, in all languages together, are as likely
    as their negatives (Fisher's randomisation test; Good 2005, section 3.1).

    Args:
        difference: One way less the other, on each item.
        clusters: Fact of each item.
        rng: Source of resamples and of signs.
        n_resamples: How many of each.

    Returns:
        The mean with its bootstrap interval, and the two-sided p: (1 + signings whose sum is at
        least as large) / (1 + signings).
    """
    effect = clustered_bootstrap(difference, clusters, rng=rng, n_resamples=n_resamples)
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=difference)
    signs = rng.choice([-1.0, 1.0], size=(n_resamples, len(sums)))
    as_large = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12
    return Contrast(effect, float((1 + as_large.sum()) / (1 + n_resamples)))
