"""Measure whether a fact's answers agree across paraphrases, languages and precisions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

Candidates = Mapping[str, list[str]]  # relation to the ids of its possible answers


def rankc(
    a: Float[np.ndarray, "fact candidate"], b: Float[np.ndarray, "fact candidate"]
) -> Float[np.ndarray, " fact"]:
    """Return ranking consistency, in [0, 1], of the same candidates scored in two languages.

    RankC of Qi et al. (2023, section 3.2, equations 1-3): the overlap of the j best candidates,
    averaged over j with weights proportional to exp(-j). It measures agreement, whether or not
    the answers are right; 1 for equal rankings.

    Args:
        a: Scores in one language; higher is better.
        b: Scores in the other language, of the same facts and candidates in the same order.

    Raises:
        ValueError: the two do not have the same facts and candidates.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected scores of the same shape, got {a.shape} and {b.shape}")
    n = a.shape[1]
    j = np.arange(1, n + 1)
    weight = np.exp(-j.astype(float))
    rank_a, rank_b = (np.argsort(np.argsort(-x, axis=1, kind="stable"), axis=1) for x in (a, b))
    last = np.maximum(rank_a, rank_b) + 1  # a candidate is in both top-j from here on
    shared = np.stack([np.bincount(row, minlength=n + 1)[1:] for row in last]).cumsum(1)
    return np.asarray((shared / j) @ weight / weight.sum())


def rankc_error(
    values: Float[np.ndarray, "fact candidate"], complete: Bool[np.ndarray, "fact candidate"]
) -> Float[np.ndarray, " fact"]:
    """Return by how much RankC can err, at most, because some scores are only upper bounds.

    The best candidates before the first that is not complete are sure; the weights of all further
    ranks bound the error. 0 where all candidates are complete.

    Args:
        values: Scores, or upper bounds of scores.
        complete: Which are scores.
    """
    n = values.shape[1]
    order = np.argsort(-values, axis=1, kind="stable")
    sure = np.take_along_axis(complete, order, axis=1).cumprod(axis=1).sum(1)
    weight = np.exp(-np.arange(1, n + 1, dtype=float))
    beyond = np.append(weight[::-1].cumsum()[::-1], 0.0) / weight.sum()
    return np.asarray(beyond[sure])


def agreement(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return the share of paraphrase pairs with equal typed predictions, by relation.

    Consistency of Elazar et al. (2021, section 3): a mean over facts, in [0, 1].
    """
    rows = []
    for relation, part in recalled.groupby("relation"):
        shares = [_equal_pairs(rows["predicted"].to_numpy()) for _, rows in part.groupby("fact")]
        known = [s for s in shares if s is not None]
        if known:
            mean = float(np.mean(known))
            rows.append({"relation": relation, "agreement": mean, "n_facts": len(known)})
    return pd.DataFrame(rows, columns=["relation", "agreement", "n_facts"])


def _equal_pairs(predicted: np.ndarray) -> float | None:
    n = len(predicted)
    if n < 2:
        return None
    equal = int((predicted[:, None] == predicted).sum()) - n
    return equal / (n * (n - 1))


def measure_consistency(by_language: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return agreement across paraphrases, RankC of each language pair, and the precision's error.

    RankC compares, per fact, the log-probabilities averaged over its paraphrases, on the facts
    and the candidates that both languages have. `rankc_error` bounds its error: candidates that
    have lost have upper bounds in place of log-probabilities; see `contenders`.
    """
    languages = list(by_language)
    paraphrase = [
        {"language": language, **row}
        for language, table in by_language.items()
        for row in agreement(table).to_dict("records")
    ]
    scored = {language: _by_fact(table) for language, table in by_language.items()}
    names = {language: _candidates(table) for language, table in by_language.items()}
    pairs = [
        {"a": a, "b": b, **row}
        for i, a in enumerate(languages)
        for b in languages[i + 1 :]
        for row in _compare(scored[a], scored[b], (names[a], names[b]))
    ]
    errors = {language: _precision_error(table) for language, table in by_language.items()}
    return {
        "paraphrase": paraphrase,
        "languages": pairs,
        "precision_error": {k: v for k, v in errors.items() if v is not None},
    }


class _Scores(NamedTuple):
    """A fact's candidates: their mean over paraphrases, and whether all of these are complete."""

    values: Float[np.ndarray, " candidate"]
    complete: Bool[np.ndarray, " candidate"]


def _by_fact(recalled: pd.DataFrame) -> dict[str, dict[str, _Scores]]:
    return {
        str(relation): {
            str(fact): _Scores(
                np.stack(rows["log_probabilities"].to_list()).mean(0),
                np.asarray(np.stack(rows["complete"].to_list()).all(0)),
            )
            for fact, rows in part.groupby("fact")
        }
        for relation, part in recalled.groupby("relation")
    }


def _candidates(recalled: pd.DataFrame) -> Candidates:
    """Return the ids of each relation's possible answers, the same for all its facts."""
    first = recalled.drop_duplicates("relation")
    return {r: list(c) for r, c in zip(first["relation"], first["candidates"], strict=True)}


def _compare(
    a: Mapping[str, Mapping[str, _Scores]],
    b: Mapping[str, Mapping[str, _Scores]],
    names: tuple[Candidates, Candidates],
) -> list[dict[str, Any]]:
    rows = []
    for relation in sorted(set(a) & set(b)):
        facts = sorted(set(a[relation]) & set(b[relation]))
        shared = [c for c in names[0].get(relation, ()) if c in names[1].get(relation, ())]
        if facts and len(shared) > 1:
            first, second = (
                _stacked([x[relation][f] for f in facts], [n[relation].index(c) for c in shared])
                for x, n in zip((a, b), names, strict=True)
            )
            value = float(rankc(first.values, second.values).mean())
            error = np.maximum(rankc_error(*first), rankc_error(*second)).mean()
            found = {"rankc": value, "rankc_error": float(error), "n_facts": len(facts)}
            rows.append({"relation": relation, **found})
    return rows


def _stacked(scores: Sequence[_Scores], places: Sequence[int]) -> _Scores:
    """Return scores of several facts as [fact, candidate], of some candidates."""
    values, complete = (np.stack(x)[:, list(places)] for x in zip(*scores, strict=True))
    return _Scores(values, complete)


def _precision_error(recalled: pd.DataFrame) -> dict[str, float] | None:
    """Return the error of the answers' log-probabilities against float32, in nats, or None."""
    error = (recalled["log_probability"] - recalled["reference"]).dropna().abs()
    if error.empty:
        return None
    return {"median": float(error.median()), "p95": float(error.quantile(0.95))}
