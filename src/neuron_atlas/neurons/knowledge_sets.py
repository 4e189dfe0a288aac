"""From stored attribution scores to each fact's knowledge neurons."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from neuron_atlas.pipeline import store

SCORES, PROMPTS, META = "scores.parquet", "prompts.parquet", "meta.json"
COLUMNS = ["fact", "relation", "template", "method", "rank", "neuron", "score"]
SetsByFact = dict[str, Int64[np.ndarray, " _"]]


def read_scores(folder: Path) -> pd.DataFrame:
    """Read the stored scores of one language.

    Raises:
        ValueError: the file is missing, lacks a column, or holds a score that is not finite.
    """
    scores = store.read_table(folder / SCORES, COLUMNS)
    if (bad := ~np.isfinite(scores["score"])).any():
        row = scores[bad].iloc[0]
        raise ValueError(
            f"{folder / SCORES}: the score of neuron {row['neuron']} for fact {row['fact']!r} is "
            f"{row['score']}; run `dvc repro attributions` with model.dtype: float32"
        )
    return scores


def grade_neurons(scores: pd.DataFrame, *, method: str) -> pd.DataFrame:
    """Grade each fact's neurons by their share of the prompt's strongest, over its paraphrases.

    Args:
        scores: One language's stored scores.
        method: Which attribution method's scores, a value of the column `method`.

    Returns:
        `fact`, `relation`, `neuron`, `score` (mean over paraphrases of score / the prompt's
        maximum, at most 1; a neuron that is not stored for a paraphrase counts 0 there) and `rank`
        (0 the best of its fact; equal scores go by index).

    Raises:
        ValueError: scores are stored, and none of this method.
    """
    chosen = _relative(scores, method)
    paraphrases = chosen.groupby("fact")["template"].nunique()
    total = chosen.groupby(["fact", "relation", "neuron"], sort=True)["relative"].sum()
    table = total.reset_index(name="score")
    table["score"] /= table["fact"].map(paraphrases).astype("float64")
    order = table.sort_values(["fact", "score", "neuron"], ascending=[True, False, True])
    return order.assign(rank=order.groupby("fact").cumcount()).reset_index(drop=True)


def select(
    scores: pd.DataFrame, *, method: str, tau: float, share: float, k: int | None = None
) -> SetsByFact:
    """Return each fact's knowledge neurons as flat indices, best first.

    Chen et al. 2024 (arXiv 2308.13198, equations 6-7): the neurons of all layers whose score
    exceeds `tau` times the prompt's largest; refined as in Dai et al. 2022 (arXiv 2104.08696,
    section 3.2): those that do so in at least `share` of the fact's paraphrases.

    Args:
        scores: One language's stored scores.
        method: Which attribution method's scores, a value of the column `method`.
        tau: Share of the largest score, in [0, 1); 0 keeps every positive one that is stored.
        share: Share of the paraphrases, in (0, 1].
        k: At most this many per fact; None sets no limit.

    Returns:
        By fact; a fact none of whose neurons pass has an empty set.

    Raises:
        ValueError: a parameter is out of range, or scores are stored, and none of this method.
    """
    if not 0 <= tau < 1 or not 0 < share <= 1 or (k is not None and k < 1):
        raise ValueError(
            "expected tau in [0, 1), share in (0, 1] and k of at least 1, got "
            f"tau {tau}, share {share}, k {k}"
        )
    chosen = _relative(scores, method)
    passed = chosen[chosen["relative"] > tau].groupby(["fact", "neuron"]).size()
    needed = share * chosen.groupby("fact")["template"].nunique()
    wanted = needed.reindex(passed.index.get_level_values("fact")).to_numpy(np.float64)
    enough = passed.index[passed.to_numpy(np.float64) >= wanted - 1e-9]
    ranked = grade_neurons(scores, method=method).set_index(["fact", "neuron"], drop=False)
    kept = ranked[ranked.index.isin(enough)].drop(columns="neuron")
    found = {
        str(f): rows.index.get_level_values("neuron") for f, rows in kept.groupby(level="fact")
    }
    none = pd.Index([], dtype=np.int64)
    return {
        str(fact): found.get(str(fact), none).to_numpy(np.int64)[:k]
        for fact in chosen["fact"].unique()
    }


def neurons_by_grade(scores: pd.DataFrame, *, method: str) -> SetsByFact:
    """Return each fact's neurons, best first by `grade_neurons`."""
    table = grade_neurons(scores, method=method)
    return {str(f): rows["neuron"].to_numpy(np.int64) for f, rows in table.groupby("fact")}


def geometric_rank(
    orders: Sequence[Int64[np.ndarray, " _"]], neurons: Int64[np.ndarray, " neuron"]
) -> Float64[np.ndarray, " neuron"]:
    """Return the geometric mean of each neuron's ranks, from 1, over several orders of neurons.

    A neuron that is missing from an order has the rank after its last one.

    Args:
        orders: Flat indices, best first.
        neurons: Flat indices of the neurons to rank.
    """
    total = np.zeros(len(neurons))
    for order in orders:
        place = pd.Series(np.arange(1, len(order) + 1), index=order)
        total += np.log(place.reindex(neurons, fill_value=len(order) + 1).to_numpy(np.float64))
    return np.asarray(np.exp(total / len(orders)))


def _relative(scores: pd.DataFrame, method: str) -> pd.DataFrame:
    chosen = scores[scores["method"] == method]
    if chosen.empty:
        if known := sorted(scores["method"].unique()):
            raise ValueError(f"no scores of method {method!r} are stored; there are {known}")
        return chosen.assign(relative=chosen["score"])
    largest = chosen.groupby(["fact", "template"])["score"].transform("max")
    positive = largest > 0
    return chosen[positive].assign(relative=chosen["score"][positive] / largest[positive])
