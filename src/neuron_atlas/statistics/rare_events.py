"""Tests of the difference of two rates of rare events, with relations as random effects."""

from math import sqrt

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import stdtrit

from neuron_atlas.statistics.random_effects import (
    POWER,
    MeanTest,
    codes,
    relation_means,
    t_test,
)

LEVEL = 0.95


def rate_difference(
    difference: Float[np.ndarray, " item"],
    n: Int[np.ndarray, " item"],
    facts: Shaped[np.ndarray, " item"],
    relations: Shaped[np.ndarray, " item"],
    *,
    events: tuple[int, int],
) -> MeanTest:
    """Test whether two rates differ, counted on the same items: relations are random effects.

    As `random_effects.over_relations`, but with events so rare that relations may not differ by
    what they could: the standard error is never below that of two Poisson counts, each of one
    event more than was seen. So no event at all says as much as the number of trials does, and p
    has no floor. With rate r of events, one in n trials, the variance of a mean is r / n: `mde` is
    the rate at which a difference of this size, with the variance that it brings along, is found.

    Args:
        difference: Of the two rates of each item.
        n: Trials of each of the two rates, at least 1.
        facts: Fact of each item.
        relations: Relation of each item.
        events: How often each of the two was seen, in either direction, over all items.

    Raises:
        ValueError: a value is not finite or there are fewer than two relations.
    """
    means = relation_means(difference, facts, relations)
    freedom, size = float(len(means) - 1), _effective(n, facts, relations)
    rate = (sum(events) + len(events)) / float(n.sum())
    variance = max(float(np.var(means, ddof=1)) / len(means), rate / size)
    found = t_test(float(means.mean()), sqrt(variance), freedom, level=LEVEL)
    without = max(variance - max(found.effect.mean, 0.0) / size, 0.0)
    mde = _detectable(without, size, freedom)
    return MeanTest(found.effect, found.p_value, found.standard_error, freedom, mde)


def _effective(
    n: Int[np.ndarray, " item"],
    facts: Shaped[np.ndarray, " item"],
    relations: Shaped[np.ndarray, " item"],
) -> float:
    """Return the trials of equal weight that would be as precise as a mean over relations is."""
    owner, fact = codes(relations), codes(facts)
    pair = codes(owner * (fact.max(initial=0) + 1) + fact)
    of_pair = np.bincount(pair)
    relation_of_pair = np.zeros(len(of_pair), dtype=np.int64)
    relation_of_pair[pair] = owner
    n_pairs = np.bincount(relation_of_pair)
    weight = 1 / (len(n_pairs) * n_pairs[owner] * of_pair[pair])
    return 1 / float((weight**2 / n).sum())


def _detectable(variance: float, size: float, freedom: float) -> float:
    """Return r with r = c * sqrt(variance + r / size), c as in `random_effects.t_test`."""
    c = float(stdtrit(freedom, (1 + LEVEL) / 2)) + float(stdtrit(freedom, POWER))
    half = c**2 / (2 * size)
    return half + sqrt(half**2 + c**2 * variance)
