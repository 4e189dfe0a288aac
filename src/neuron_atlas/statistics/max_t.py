"""Simultaneous tests of many small cells, such as all pairs of relations.

A family of 90 to 200 cells with 7 to 16 facts each is a hard case: what is tested at 0.05 / 90
depends on tails that 7 facts cannot show. `tools/calibrate.py` compares three ways on simulated
tables (docs/calibration.md has the figures):

* sign-flip max-T of studentised statistics, whose largest of 90 has heavy tails at 6 degrees of
  freedom, and which cannot take in the variance between drawn sets;
* t of each cell with Sidak's or Holm's correction, which has the same tails;
* *moderated* variances (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3),
  which borrow from the other cells what 7 facts cannot tell.

The third is used. Two things are not Smyth's: the borrowed degrees of freedom never exceed the
number of facts, because cells that ask the same facts do not vary independently; and the variance
between sets that differ by the draw of their neurons alone is added, because a set's neurons were
drawn once for all facts of a cell.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Real, Shaped
from scipy.special import digamma, polygamma

from neuron_atlas.statistics.random_effects import MeanTest, codes, group_means, t_test

SMALLEST = 1e-5  # of the median variance; limma's floor for cells that do not vary at all


@dataclass(frozen=True)
class Between:
    """Variance of a cell's mean that its facts do not show: that between drawn sets.

    Attributes:
        variance: Of each cell's mean, >= 0.
        sampling: Sampling variance of `variance`. Few draws estimate it badly, and t has to know.
        freedom: Degrees of freedom of one cell's draws: the sum never has fewer.
    """

    variance: Float[np.ndarray, " cell"]
    sampling: Float[np.ndarray, " cell"]
    freedom: Float[np.ndarray, " cell"]


def simultaneous(
    values: Real[np.ndarray, " item"],
    cells: Shaped[np.ndarray, " item"],
    facts: Shaped[np.ndarray, " item"],
    *,
    between: Between | None = None,
    level: float = 0.95,
) -> list[MeanTest]:
    """Test every cell's mean against 0, so that all intervals hold together.

    Facts are clusters: `values` has one number per cell and fact. The squared standard error is
    s^2 / n, with s^2 moderated over the cells, plus `between`; degrees of freedom are those of
    Satterthwaite 1946. Intervals and p are Sidak's, by one formula (`random_effects.t_test`).

    Args:
        values: Effect on one fact in one cell, nats.
        cells: Cell of each item.
        facts: Fact of each item; one fact may be in many cells.
        between: Further variance of the cells' means, in the cells' sorted order.
        level: Simultaneous coverage wanted.

    Returns:
        One result per cell, in the cells' sorted order.

    Raises:
        ValueError: a value is not finite, or a cell has fewer than two facts.
    """
    member = codes(cells)
    count = np.bincount(member)
    if count.min(initial=2) < 2 or not np.isfinite(values).all():
        raise ValueError("expected finite values and at least 2 facts per cell; drop other cells")
    means = group_means(values, member)
    squares = np.bincount(member, weights=(values - means[member]) ** 2) / (count - 1)
    variance, freedom = moderated(squares, count - 1, limit=float(len(np.unique(facts))))
    error = variance / count
    if between is not None:
        sampling = 2 * error**2 / freedom + between.sampling
        error = error + between.variance
        least = np.minimum(freedom, between.freedom)  # a sum has no fewer than its parts
        freedom = np.divide(2 * error**2, sampling, out=freedom.copy(), where=sampling > 0)
        freedom = np.maximum(freedom, least)
    return [
        t_test(float(m), float(e), float(f), n_tests=len(count), level=level)
        for m, e, f in zip(means, np.sqrt(error), freedom, strict=True)
    ]


def moderated(
    variance: Float[np.ndarray, " cell"], freedom: Int[np.ndarray, " cell"], *, limit: float
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """Draw each cell's variance towards that of all cells; Smyth 2004, section 6.2.

    The cells' true variances are taken as scaled inverse chi-squared, its two parameters from the
    mean and variance of the logarithms.

    Args:
        variance: Sample variance in each cell.
        freedom: Its degrees of freedom, >= 1.
        limit: Most degrees of freedom that may be borrowed.

    Returns:
        The posterior variances, and their augmented degrees of freedom. Unchanged with one cell or
        where no cell varies.
    """
    own = freedom.astype(np.float64)
    middle = float(np.median(variance)) or float(variance.max(initial=0))
    if len(variance) < 2 or middle == 0:
        return variance.astype(np.float64), own
    logs = np.log(np.maximum(variance, SMALLEST * middle))
    logs -= digamma(own / 2) - np.log(own / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, own / 2).mean())
    prior = min(2 * _inverse_trigamma(excess), limit) if excess > 0 else limit
    shift = digamma(prior / 2) - np.log(prior / 2) if excess > 0 else 0.0
    pooled = np.exp(logs.mean() + shift)
    return (prior * pooled + own * variance) / (prior + own), own + prior


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value, value > 0, by Newton's method on 1 / trigamma (Smyth 2004)."""
    if value > 1e7:
        return float(value**-0.5)
    x = 0.5 + 1 / value
    for _ in range(50):
        here = float(polygamma(1, x))
        step = here * (1 - here / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
