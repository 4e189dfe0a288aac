"""Tests of a mean over clusters, with facts nested in relations as random effects."""

from dataclasses import dataclass
from math import expm1, log1p, sqrt

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Real, Shaped
from scipy.special import stdtr, stdtrit

from neuron_atlas.statistics.estimates import Estimate

POWER = 0.8


@dataclass(frozen=True)
class MeanTest:
    """A mean with the interval and the p of one studentised statistic.

    The interval excludes 0 exactly when p is below 1 - level, so the two never disagree.

    Attributes:
        effect: The mean and its interval, in the unit of the values.
        p_value: Two-sided; adjusted, as the interval is, if the mean is one of a family.
        standard_error: Of the mean, same unit.
        freedom: Degrees of freedom of t.
        mde: Minimal detectable effect, same unit: one of this size has p < 1 - level in about 80 of
            100 repetitions. (t_{1 - a / 2} + t_{0.8}) * standard error (Bloom 1995, Evaluation
            Review 19), with a the level of this one test.
    """

    effect: Estimate
    p_value: float
    standard_error: float
    freedom: float
    mde: float

    @property
    def statistic(self) -> float:
        """The mean over its standard error; infinite, or 0, where nothing varies."""
        if self.standard_error == 0:
            return float(np.sign(self.effect.mean)) * np.inf if self.effect.mean else 0.0
        return self.effect.mean / self.standard_error


def t_test(
    mean: float, standard_error: float, freedom: float, *, n_tests: int = 1, level: float = 0.95
) -> MeanTest:
    """Test whether a mean is 0, as one of `n_tests` at once.

    Sidak 1967 (JASA 62): each is tested at 1 - level^(1 / n_tests), which holds the family at
    1 - level for statistics that are jointly normal or t, however correlated. Interval and p are
    adjusted by the same formula.

    Raises:
        ValueError: `level` is outside (0, 1), or there is no test or no degree of freedom.
    """
    if not 0 < level < 1 or n_tests < 1 or not freedom > 0:
        raise ValueError(
            f"expected level in (0, 1), n_tests >= 1 and freedom > 0, got {level}, {n_tests} and "
            f"{freedom}"
        )
    alone = -expm1(log1p(level - 1) / n_tests)
    critical = float(-stdtrit(freedom, alone / 2))
    half = critical * standard_error
    detectable = half + float(stdtrit(freedom, POWER)) * standard_error
    if standard_error == 0:
        p = float(mean == 0)
    else:
        single = 2 * float(stdtr(freedom, -abs(mean) / standard_error))
        p = 1.0 if single >= 1 else -expm1(n_tests * log1p(-single))
    interval = Estimate(mean, mean - half, mean + half)
    return MeanTest(interval, p, standard_error, freedom, detectable)


def over_clusters(
    values: Real[np.ndarray, " cluster"], *, n_tests: int = 1, level: float = 0.95
) -> MeanTest:
    """Test whether the mean over clusters is 0; one value per cluster, n - 1 degrees of freedom.

    Raises:
        ValueError: a value is not finite or there are fewer than two.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"expected at least 2 finite values, one per cluster, got {values}")
    error = sqrt(float(np.var(values, ddof=1)) / len(values))
    return t_test(
        float(np.mean(values)), error, float(len(values) - 1), n_tests=n_tests, level=level
    )


def over_relations(
    values: Real[np.ndarray, " item"],
    facts: Shaped[np.ndarray, " item"],
    relations: Shaped[np.ndarray, " item"],
    *,
    n_tests: int = 1,
    level: float = 0.95,
) -> MeanTest:
    """Test whether the mean over relations is 0: relations are random, facts nested in them.

    Each relation counts once, by its mean over facts of the mean over the fact's items, so the
    spread between relations holds the noise of facts, languages and drawn sets too. What is
    inferred holds for relations like these, and one relation alone cannot make it.

    Args:
        values: One number per fact and language, e.g. an excess over controls in nats.
        facts: Fact of each item; languages of a fact share it.
        relations: Relation of each item.
        n_tests: As in `t_test`.
        level: Coverage wanted.

    Raises:
        ValueError: a value is not finite or there are fewer than two relations.
    """
    means = relation_means(values, facts, relations)
    return over_clusters(means, n_tests=n_tests, level=level)


def relation_means(
    values: Real[np.ndarray, " item"],
    facts: Shaped[np.ndarray, " item"],
    relations: Shaped[np.ndarray, " item"],
) -> Float64[np.ndarray, " relation"]:
    """Return each relation's mean over its facts' means, relations in sorted order."""
    owner, fact = codes(relations), codes(facts)
    pair, member = np.unique(owner * (fact.max(initial=0) + 1) + fact, return_inverse=True)
    return group_means(group_means(values, member), pair // (fact.max(initial=0) + 1))


def codes(labels: Shaped[np.ndarray, " item"]) -> Int[np.ndarray, " item"]:
    """Return each label's rank among the distinct labels."""
    return np.asarray(pd.factorize(labels, sort=True)[0])


def group_means(
    values: Real[np.ndarray, " item"], groups: Int[np.ndarray, " item"]
) -> Float64[np.ndarray, " group"]:
    """Return each group's mean; groups are numbered from 0 without gaps."""
    return np.bincount(groups, weights=values) / np.bincount(groups)
