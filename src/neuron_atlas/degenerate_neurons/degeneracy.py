"""When neurons can replace one another: interactions, the rule for sets, and its null.

Drops of the answer's log-probability say whether the answer survives; interactions are judged in
its log-odds, in which two neurons that move the answer's logit alone add up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64
from sklearn.metrics import cohen_kappa_score

from neuron_atlas.degenerate_neurons.settings import DegeneracyRule
from neuron_atlas.pipeline.streams import stream

PAIRS, SETS = "pairs.parquet", "sets.parquet"
OWN, MATCHED, RANDOM = "own", "matched", "random"  # whose neurons: the fact's, or which control's
Members = tuple[int, ...]  # flat neuron indices, rising
Drops = Mapping[Members, float]


def interaction(drops: Drops, a: int, b: int) -> float:
    """Return I(A, B) = d(AB) - d(A) - d(B), nats.

    Positive if the two together matter more than the sum of both, as when either neuron alone is
    enough; 0 if their effects on the log-probability add up; the same for (A, B) and (B, A).
    """
    return drops[_sorted(a, b)] - (drops[(a,)] + drops[(b,)])


def log_odds(log_probability: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return log p / (1 - p) of log p, both in nats.

    Two neurons that each move the answer's logit and no other add up in log-odds; in
    log-probability the saturation of the softmax alone makes them interact. For an answer of
    several tokens it is that of the whole answer, which undoes the saturation of its least
    probable token mostly.
    """
    clipped = np.minimum(np.asarray(log_probability, dtype=np.float64), -1e-12)
    return np.asarray(clipped - np.log(-np.expm1(clipped)))


def proper_subsets(members: Members) -> list[Members]:
    """Return the proper subsets that are not empty, smallest first."""
    return [p for size in range(1, len(members)) for p in combinations(members, size)]


def in_log_odds(clean: float, drops: Drops) -> dict[Members, float]:
    """Return the drops of the answer's log-odds, nats.

    Args:
        clean: Log-probability of the answer with all neurons on, nats.
        drops: By suppressed set, the drop of this log-probability, nats.
    """
    lost = log_odds(clean - np.array([0.0, *drops.values()]))
    return dict(zip(drops, (lost[0] - lost[1:]).tolist(), strict=True))


def surplus(drops: Drops, members: Members) -> float:
    """Return how far the whole set's drop exceeds what any two parts of it explain, nats.

    d(S) minus the largest d+(T) + d+(S without T) over all splits of S in two, d+ = max(d, 0). For
    a pair it is the interaction, except that a neuron whose suppression helps explains nothing. So
    a positive surplus means that the whole set's drop is positive and larger than the sum.
    """
    return min(_interacts(drops, split)[0] for split in _splits(members))


def shortfall(drops: Drops, members: Members) -> float:
    """Return how far the whole set's drop falls short of every two parts of it, nats.

    The mirror image of `surplus`: with I the interaction of two parts and g what their suppression
    gains, surplus is the smallest I - g and this is the smallest -I - g. Interactions of either
    sign have to be equally large, so where they are mere noise both come out equally often.
    """
    return min(_interacts(drops, split)[1] for split in _splits(members))


def signed_surplus(drops: Drops, members: Members) -> float:
    """Return the surplus where it is positive, minus the shortfall where that is, else 0; nats."""
    return max(surplus(drops, members), 0.0) - max(shortfall(drops, members), 0.0)


def _splits(members: Members) -> list[tuple[Members, Members, Members]]:
    return [(members, p, tuple(n for n in members if n not in p)) for p in proper_subsets(members)]


def _interacts(drops: Drops, split: tuple[Members, Members, Members]) -> tuple[float, float]:
    """Return I - g and -I - g of the whole and its two parts; see `shortfall`."""
    whole, one, other = (drops[part] for part in split)
    gained = max(-one, 0.0) + max(-other, 0.0)
    return whole - one - other - gained, one + other - whole - gained


def describe(clean: float, drops: Drops) -> pd.DataFrame:
    """Return one row per measured set of two or more: its drop, its parts' and its surplus.

    Args:
        clean: Log-probability of the answer with all neurons on, nats.
        drops: Drops of it by suppressed set, with those of all subsets of each set, nats.

    Returns:
        `members`, `size`, `drop`, `largest` (drop of a proper subset), nats of log-probability, and
        `surplus`, as `signed_surplus` in nats of log-odds.
    """
    odds = in_log_odds(clean, drops)
    rows = [
        (s, len(s), drops[s], max(drops[p] for p in proper_subsets(s)), signed_surplus(odds, s))
        for s in sorted(drops, key=lambda s: (len(s), s))
        if len(s) > 1
    ]
    return pd.DataFrame(rows, columns=["members", "size", "drop", "largest", "surplus"])


def sets_to_measure(
    clean: float, drops: Drops, neurons: Iterable[int], *, size: int, small: float, beam: int
) -> list[Members]:
    """Return the sets to measure when looking for degenerate sets of `size`, with missing subsets.

    Greedy: take the sets of one neuron fewer that drop by at most `small`, as do all their subsets;
    extend the `beam` ones with the largest surplus by each other neuron. A large enough beam makes
    the search exhaustive.

    Args:
        clean: Log-probability of the answer with all neurons on, nats.
        drops: Measured drops, nats, with those of all subsets of each set.
        neurons: Neurons that may be added.
        size: Size of the sets wanted, above 2.
        small: Largest drop, nats, of a proper subset of a degenerate set.
        beam: How many sets to extend.
    """
    pool = [
        s
        for s in drops
        if len(s) == size - 1 and _stays_small(drops, (s, *proper_subsets(s)), small)
    ]
    odds = in_log_odds(clean, drops)
    pool.sort(key=lambda s: (-surplus(odds, s), s))
    joined = {_sorted(*s, n) for s in pool[:beam] for n in neurons if n not in s}
    wanted = {s for s in joined if _stays_small(drops, proper_subsets(s), small)}
    missing = {p for s in wanted for p in (s, *proper_subsets(s)) if p not in drops}
    return sorted(missing, key=lambda s: (len(s), s))


def _stays_small(drops: Drops, sets: Iterable[Members], small: float) -> bool:
    """Tell whether none of the sets that were measured drops by more than `small`."""
    return all(drops.get(s, small) <= small for s in sets)


def _sorted(*members: int) -> Members:
    return tuple(sorted(members))


def halves(facts: Sequence[str], *, seed: int) -> dict[str, int]:
    """Split the facts into two halves of equal size, or nearly so; one fact leaves one empty."""
    names = sorted(set(facts))
    order = stream(seed, "degenerate_neurons", "halves").permutation(len(names))
    return {names[i]: place % 2 for place, i in enumerate(order.tolist())}


def judge(sets: pd.DataFrame, rule: DegeneracyRule, *, seed: int) -> pd.DataFrame:
    """Apply the rule on one prompt, and the published one, to a fact's sets and controls alike.

    A set is found if none of its proper subsets drops by more than `small` and its surplus exceeds
    a threshold; it is opposed if its surplus is below minus the threshold. The threshold is a
    quantile of the absolute surplus of matched controls of the same size whose subsets stay small
    too, or `negligible` if that is larger. It is taken from the other half of the facts, so no
    control is judged by a threshold that it helped to set. If the other half has no such control,
    there is no threshold and nothing is found.

    Args:
        sets: `fact`, `kind` (`OWN`, `MATCHED` or `RANDOM`) and the columns of `describe`.
        rule: The rule.
        seed: The seed.

    Returns:
        `sets` with `small` (all proper subsets stay small), `threshold` (nats of log-odds),
        `found`, `opposed` and `published`.
    """
    half = sets["fact"].map(halves(sets["fact"].tolist(), seed=seed))
    small = sets["largest"] <= rule.small
    null = (sets["kind"] == MATCHED) & small
    threshold = pd.Series(np.inf, index=sets.index)
    for (_, own), rows in sets.groupby(["size", half.rename("half")]):
        same = sets["size"] == rows["size"].iloc[0]
        others = sets.loc[null & same & (half != own), "surplus"].abs().to_numpy(np.float64)
        if len(others):
            limit = np.quantile(others, rule.null_quantile, method="higher")
            threshold[rows.index] = max(float(limit), rule.negligible)
    return sets.assign(
        small=small,
        threshold=threshold,
        found=small & (sets["surplus"] > threshold),
        opposed=small & (sets["surplus"] < -threshold),
        published=published(
            sets["largest"].to_numpy(np.float64), sets["drop"].to_numpy(np.float64), rule
        ),
    )


def published(
    largest: Float[np.ndarray, " item"], drop: Float[np.ndarray, " item"], rule: DegeneracyRule
) -> Bool[np.ndarray, " item"]:
    """Apply the rule of Chen et al. 2024 (arXiv 2308.13198, equations 9-10).

    A drop of d nats is a relative drop of the probability of 1 - exp(-d). Two independent
    neurons pass it if each alone drops by 13.4 to 20 %: 1 - (1 - 0.134)^2 = 0.25.

    Args:
        largest: Largest drop of a proper subset, nats.
        drop: Drop of the whole set, nats.
        rule: The two limits.
    """
    low, high = -np.expm1(-largest), -np.expm1(-drop)
    return np.asarray((low <= rule.published_low) & (high > rule.published_high))


@dataclass(frozen=True)
class Agreement:
    """How far two rules pick the same sets; None if not defined.

    Attributes:
        kappa: Cohen's kappa (Cohen 1960): 1 the same, 0 as by chance. Not defined if both rules
            pick everything, or nothing.
        jaccard: Sets that both pick among those that either picks. Not defined if neither picks.
    """

    kappa: float | None
    jaccard: float | None


def agreement(ours: Bool[np.ndarray, " item"], theirs: Bool[np.ndarray, " item"]) -> Agreement:
    """Compare the picks of two rules on the same sets."""
    either, both = int((ours | theirs).sum()), int((ours & theirs).sum())
    jaccard = both / either if either else None
    same = len(np.unique(np.concatenate([ours, theirs]))) < 2
    return Agreement(None if same else float(cohen_kappa_score(ours, theirs)), jaccard)


def exceeds_random(
    own: Float[np.ndarray, "neuron fact"],
    random: Float[np.ndarray, "neuron draw fact"],
    *,
    negligible: float,
) -> Bool[np.ndarray, " neuron"]:
    """Tell whether each neuron's largest drop over facts exceeds that of all its random neurons.

    Args:
        own: Drop of each neuron alone on each fact, nats.
        random: The same for the random neurons matched to each; the maximum is over facts and
            draws, so with n draws one neuron in n + 1 passes by chance.
        negligible: The largest drop, nats, must exceed this too.
    """
    limit = np.maximum(random.max((1, 2)), negligible)
    return np.asarray(own.max(1) > limit)
