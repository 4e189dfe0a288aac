"""How far two languages keep a fact in the same neurons, and what this correlates with."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.statistics.estimates import benjamini_hochberg

SIGNIFICANT = 0.05
FEW_PAIRS = 10  # fewer language pairs are described and not tested
ROUNDING = 1e-12  # of means that are compared with the mean of a null


def script(texts: Iterable[str]) -> str:
    """Return the script of most letters: the first word of their Unicode names.

    Raises:
        ValueError: there is no letter.
    """
    letters = Counter(c for text in texts for c in text if c.isalpha())
    names: Counter[str] = Counter()
    for letter, n in letters.items():
        names[unicodedata.name(letter, "UNKNOWN").split(maxsplit=1)[0]] += n
    if not names:
        raise ValueError("expected text with letters, to tell its script")
    return names.most_common(1)[0][0]


def compare_languages(
    sets: Mapping[str, SetsByFact],
    groups: Mapping[str, str],
    scripts: Mapping[str, str],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare each pair of languages on the facts that have a set in both.

    Args:
        sets: Language to the set of each fact, flat neuron indices.
        groups: Relation of each fact.
        scripts: Script of each language.
        n_permutations: Deals of one language's facts for the p.
        rng: Source of the deals.

    Returns:
        `a`, `b`, `value` (mean Jaccard index of a fact's two sets), `same_relation` and
        `mismatched` (of the sets of two facts, of one relation and of any), `excess` (value less
        mismatched), `p_value` (permutation of one language's facts), `q_value`, `significant`,
        `same_script`, `n_facts`. Pairs with fewer than two common facts are left out.
    """
    rows = []
    for a, b in combinations(sets, 2):
        facts = sorted(set(sets[a]) & set(sets[b]))
        if len(facts) < 2:
            continue
        index = jaccard_matrix([sets[a][f] for f in facts], [sets[b][f] for f in facts])
        row = _pair(index, np.array([groups[f] for f in facts]), n_permutations, rng)
        rows.append({"a": a, "b": b, **row, "same_script": scripts[a] == scripts[b]})
    columns = ["a", "b", "value", "same_relation", "mismatched", "excess", "p_value", "n_facts"]
    table = pd.DataFrame(rows, columns=[*columns, "same_script"])
    p = table["p_value"].to_numpy(np.float64)
    q = benjamini_hochberg(p) if len(p) else p
    return table.assign(q_value=q, significant=q < SIGNIFICANT)


def jaccard_matrix(
    a: list[Int[np.ndarray, " _"]], b: list[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "a b"]:
    """Return the Jaccard index of each set of `a` with each set of `b`; 0 for two empty sets."""
    both, either = shared_matrix(a, b)
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def shared_matrix(
    a: list[Int[np.ndarray, " _"]], b: list[Int[np.ndarray, " _"]]
) -> tuple[Float[np.ndarray, "a b"], Float[np.ndarray, "a b"]]:
    """Return the sizes of the intersection and union of each set of `a` with each set of `b`."""
    used = np.unique(np.concatenate([*a, *b]))
    x, y = (np.stack([np.isin(used, s) for s in side]).astype(np.float64) for side in (a, b))
    both = x @ y.T
    return both, x.sum(1)[:, None] + y.sum(1) - both


def _pair(
    index: Float[np.ndarray, "fact fact"],
    group: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    n = len(index)
    other = ~np.eye(n, dtype=np.bool_)
    sibling = other & (group[:, None] == group)
    value = float(np.diag(index).mean())
    dealt = rng.permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)
    null = index[np.arange(n), dealt].mean(1)
    return {
        "value": value,
        "same_relation": float(index[sibling].mean()) if sibling.any() else None,
        "mismatched": float(index[other].mean()),
        "excess": value - float(index[other].mean()),
        "p_value": float((1 + (null >= value - ROUNDING).sum()) / (1 + n_permutations)),
        "n_facts": n,
    }


def compare_with_siblings(
    sets: Mapping[str, SetsByFact],
    groups: Mapping[str, str],
    answers: Mapping[str, str],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, float]:
    """Compare a fact's sets in two languages with the sets of two facts of its relation.

    This tells neurons of the fact from neurons of its relation, and, of two facts with one answer,
    from neurons of the answer. It compares pairs of languages, not k of n: with few facts per
    relation, deals within it bring k sets of one fact together again.

    Args:
        sets: Language to the set of each fact, flat neuron indices.
        groups: Relation of each fact.
        answers: What tells each fact's answers from others of its relation.
        n_permutations: Deals for the p.
        rng: Source of the deals.

    Returns:
        A row per fact whose relation has another one: `fact`, `relation`, `same_fact`,
        `same_relation` and `same_answer` (mean number of neurons shared, over the pairs of
        languages: of the fact, of two facts of its relation, and of two of these with one answer,
        NaN if there are none). And the one-sided p if each language's sets are dealt at random
        within the relation.
    """
    facts = sorted({fact for found in sets.values() for fact in found})
    group = np.array([groups[fact] for fact in facts])
    answer = np.array([f"{groups[fact]}:{answers[fact]}" for fact in facts])
    there = {code: np.array([f in found for f in facts]) for code, found in sets.items()}
    deals = {code: _deals(group, mask, n_permutations, rng) for code, mask in there.items()}
    none = np.array([], dtype=np.int64)
    observed, null, parts = 0.0, np.zeros(n_permutations), []
    for a, b in combinations(sets, 2):
        chosen = ([sets[code].get(f, none) for f in facts] for code in (a, b))
        both = shared_matrix(*chosen)[0]
        common = np.flatnonzero(there[a] & there[b])
        observed += float(both[common, common].sum())
        null += both[deals[a][:, common], deals[b][:, common]].sum(1)
        other = np.outer(there[a], there[b]) & ~np.eye(len(facts), dtype=np.bool_)
        alike = [other & (x[:, None] == x) for x in (group, answer)]
        parts.append(_means_per_fact(both, alike, common))
    columns = ["same_fact", "same_relation", "same_answer"]
    rows = pd.DataFrame(np.concatenate(parts), columns=["place", *columns])
    means = rows.dropna(subset=columns[:2]).groupby("place").mean()
    place = means.index.to_numpy(np.int64)
    table = means.assign(fact=np.array(facts, dtype=object)[place], relation=group[place])
    as_many = (null >= observed - ROUNDING).sum()
    return table[["fact", "relation", *columns]].reset_index(drop=True), float(
        (1 + as_many) / (1 + n_permutations)
    )


def _deals(
    group: np.ndarray, there: np.ndarray, n: int, rng: np.random.Generator
) -> Int[np.ndarray, "deal fact"]:
    """Return whose set each fact gets in each deal: a fact's of its group that has a set."""
    dealt = np.tile(np.arange(len(group)), (n, 1))
    for name in np.unique(group):
        some = np.flatnonzero(there & (group == name))
        dealt[:, some] = rng.permuted(dealt[:, some], axis=1)
    return dealt


def _means_per_fact(
    both: np.ndarray, others: Sequence[np.ndarray], common: np.ndarray
) -> np.ndarray:
    """Return each fact in `common`, and the neurons shared with itself and with others (or NaN)."""
    means = []
    for other in others:
        n = other.sum(0) + other.sum(1)
        total = (both * other).sum(0) + (both * other).sum(1)
        means.append(np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)[common])
    return np.stack([common, both[common, common], *means], axis=1)


def relate(
    table: pd.DataFrame,
    *,
    scripts: Mapping[str, str],
    accuracy: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Compare the languages' overlap with their scripts and with what the model knows.

    Returns:
        Mean excess of pairs of one script and of two (`script_p_value`: two-sided, scripts dealt
        out anew to the languages, since pairs share languages; `script_p_least`: the smallest
        possible p, the share of deals that pair the languages as they are), and Spearman's rho of
        the excess with the lower typed accuracy of the two languages. With fewer than
        `FEW_PAIRS` pairs neither p nor rho is given, and `note` says so.
    """
    excess, same = table["excess"].to_numpy(np.float64), table["same_script"].to_numpy(np.bool_)
    lower = np.array(
        [min(accuracy[a], accuracy[b]) for a, b in zip(table["a"], table["b"], strict=True)]
    )
    found: dict[str, Any] = {"n_pairs": len(table), "n_same_script": int(same.sum())}
    if same.any() and (~same).any():
        within, between = float(excess[same].mean()), float(excess[~same].mean())
        found |= {"same_script": within, "different_script": between}
        found |= {"script_gap": within - between}
        if len(table) >= FEW_PAIRS:
            found |= _script_test(table, scripts, rng)
    if len(table) < FEW_PAIRS:
        found["note"] = f"too few pairs of languages to test: {len(table)}, not {FEW_PAIRS}"
    elif np.ptp(lower) > 0 and np.ptp(excess) > 0:
        found["recall_rho"] = float(spearmanr(excess, lower).statistic)
    return found


def _script_test(
    table: pd.DataFrame, scripts: Mapping[str, str], rng: np.random.Generator, n: int = 1000
) -> dict[str, float]:
    """Deal the scripts to languages: dealt to pairs, a language's level would look like a gap."""
    excess, same = table["excess"].to_numpy(np.float64), table["same_script"].to_numpy(np.bool_)
    codes = sorted({*table["a"], *table["b"]})
    a, b = (pd.Index(codes).get_indexer(table[side]) for side in ("a", "b"))
    own = np.unique([scripts[code] for code in codes], return_inverse=True)[1]
    dealt = rng.permuted(np.tile(own, (n, 1)), axis=1)
    alike = dealt[:, a] == dealt[:, b]
    alike = alike[
        alike.any(1) & ~alike.all(1)
    ]  # some deals leave only one kind among the tested pairs
    null = _gaps(alike, excess)
    as_large = np.abs(null) >= abs(float(_gaps(same[None], excess)[0])) - ROUNDING
    return {
        "script_p_value": float((1 + as_large.sum()) / (1 + len(alike))),
        "script_p_least": float((1 + (alike == same).all(1).sum()) / (1 + len(alike))),
    }


def _gaps(alike: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Return the mean excess of pairs that are alike less that of the others, for each row."""
    return np.asarray((alike @ excess) / alike.sum(1) - (~alike @ excess) / (~alike).sum(1))
