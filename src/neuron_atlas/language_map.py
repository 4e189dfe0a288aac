"""How far two languages keep a fact in the same neurons, and what that goes with."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from neuron_atlas.knowledge_neurons import Sets
from neuron_atlas.stats import benjamini_hochberg

SIGNIFICANT = 0.05
FEW_PAIRS = 10  # fewer language pairs are described and not tested


def script(texts: Iterable[str]) -> str:
    """Return the script of most letters, by the first word of their Unicode names.

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


def compare(
    sets: Mapping[str, Sets],
    groups: Mapping[str, str],
    scripts: Mapping[str, str],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare each pair of languages on the facts that have a set in both.

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
    """Return the Jaccard index of each set of `a` with each of `b`; 0 for two empty sets."""
    used = np.unique(np.concatenate([*a, *b]))
    x, y = (np.stack([np.isin(used, s) for s in side]).astype(np.float64) for side in (a, b))
    both = x @ y.T
    either = x.sum(1)[:, None] + y.sum(1) - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


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
        "p_value": float((1 + (null >= value - 1e-12).sum()) / (1 + n_permutations)),
        "n_facts": n,
    }


def relate(
    table: pd.DataFrame, accuracy: Mapping[str, float], *, rng: np.random.Generator
) -> dict[str, Any]:
    """Say how the languages' overlap goes with their scripts and with what the model knows.

    Returns:
        Mean excess of pairs of one script and of two (`p_value`: scripts dealt out anew to the
        pairs; None below `FEW_PAIRS` pairs), and Spearman's rho of the excess with the lower typed
        accuracy of the two languages. Pairs share languages, so that even the p is a hint.
    """
    excess, same = table["excess"].to_numpy(np.float64), table["same_script"].to_numpy(np.bool_)
    lower = np.array(
        [min(accuracy[a], accuracy[b]) for a, b in zip(table["a"], table["b"], strict=True)]
    )
    found: dict[str, Any] = {"n_pairs": len(table), "n_same_script": int(same.sum())}
    if same.any() and (~same).any():
        gap = float(excess[same].mean() - excess[~same].mean())
        found |= {"same_script": float(excess[same].mean())}
        found |= {"different_script": float(excess[~same].mean()), "script_gap": gap}
        if len(table) >= FEW_PAIRS:
            found["script_p_value"] = _dealt(excess, same, gap, rng)
    if len(table) >= FEW_PAIRS and np.ptp(lower) > 0 and np.ptp(excess) > 0:
        found["recall_rho"] = float(spearmanr(excess, lower).statistic)
    return found


def _dealt(
    excess: np.ndarray, same: np.ndarray, gap: float, rng: np.random.Generator, n: int = 1000
) -> float:
    dealt = rng.permuted(np.tile(same, (n, 1)), axis=1)
    null = (dealt @ excess) / dealt.sum(1) - (~dealt @ excess) / (~dealt).sum(1)
    return float((1 + (np.abs(null) >= abs(gap) - 1e-12).sum()) / (1 + n))
