"""Each selector's set of neurons for every relation, as large as average precision's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.push import Writing
from neuron_atlas.arms.replacements import off_values
from neuron_atlas.arms.settings import Value
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import LEFT_OUT, RelationSets, SetsByRelation
from neuron_atlas.other_selectors import scores
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.store import records
from neuron_atlas.scoring.candidates import CandidateTokens

COLUMNS = {
    **dict.fromkeys(("selector", "relation"), "str"),
    **dict.fromkeys(("rank", "neuron"), "int64"),
    "in_average_precision": "bool",
}


def by_model(
    lm: LanguageModel,
    recalled: pd.DataFrame,
    found: RelationSets,
    values: Recorded,
    how: Value,
    *,
    seed: int,
    key: str,
) -> dict[str, SetsByRelation]:
    """Select neurons by gradients and direct effects, on the prompts that average precision saw.

    The null of `attribution_patching` is `LEFT_OUT`: a relation gets what is best by the mean score
    for all others. It does all that is not the relation's own: begin an answer, name anything.

    Args:
        lm: The model.
        recalled: The language's recall table.
        found: The language's sets by average precision: their sizes, and what no set may hold.
        values: Its recorded values.
        how: What neurons are set to when they are switched off.
        seed: Of resampled values.
        key: Names the finished relations on disk; see `checkpoints.key`.

    Returns:
        By selector and relation, flat indices, best first. Empty if neurons are other values than
        hidden units, which have no gradient here, or if no relation has neurons. Without
        `LEFT_OUT` if there is one relation.
    """
    if values.meta["site"] != "hidden":
        return {}
    used = recalled[recalled["correct"] & roles.selects(recalled)]
    used = used[used["relation"].isin(found.sets)].sort_values("relation", kind="stable")
    relations = used[["relation"]].drop_duplicates()
    if relations.empty:
        return {}
    run = partial(_Scoring(lm, off_values(values, how, seed=seed)).of, used)
    table = checkpoints.in_parts(relations, run, key=key, size=1)
    scored = {str(r): rows for r, rows in table.groupby("relation")}
    chosen = {
        name: {r: _best(rows[name], found, r) for r, rows in scored.items()}
        for name in scores.BY_MODEL
    }
    if len(scored) > 1:
        chosen[LEFT_OUT] = {r: _best(_left_out(scored, r), found, r) for r in scored}
    return chosen


def as_table(selected: Mapping[str, SetsByRelation], found: RelationSets) -> pd.DataFrame:
    """Return sets as a table with `COLUMNS`; the last says whether average precision has a neuron.

    Args:
        selected: By selector, sets of relations.
        found: Average precision's.
    """
    parts = [store.no_rows(COLUMNS)]
    for selector, sets in selected.items():
        for relation, chosen in sets.items():
            columns = {"selector": selector, "relation": relation, "rank": range(len(chosen))}
            shared = np.isin(chosen, found.sets[relation])
            part = pd.DataFrame({**columns, "neuron": chosen, "in_average_precision": shared})
            parts.append(part.astype(COLUMNS))
    return pd.concat(parts[1:] or parts, ignore_index=True)


@dataclass(frozen=True)
class _Scoring:
    lm: LanguageModel
    tables: Mapping[str, Float[Tensor, "layer neuron"]]

    def of(self, prompts: pd.DataFrame, relations: pd.DataFrame) -> pd.DataFrame:
        """Return the scores of all neurons for one relation, from the prompts of all."""
        relation, tokens = str(relations["relation"].iloc[0]), CandidateTokens(self.lm)
        asked = [
            question_of(tokens, row) for row in records(prompts[prompts["relation"] == relation])
        ]
        off = self.tables.get(relation, next(iter(self.tables.values())))
        scored = scores.of_relation(self.lm, asked, off, Writing(self.lm, "hidden"))
        columns = {name: one.float().flatten().numpy() for name, one in scored.items()}
        return pd.DataFrame({"relation": relation, **columns})


def _left_out(scored: Mapping[str, pd.DataFrame], relation: str) -> Float[np.ndarray, " neuron"]:
    """Return attribution patching's mean score over all relations but one."""
    others = [rows[scores.ATTRIBUTION_PATCHING] for r, rows in scored.items() if r != relation]
    return np.asarray(np.stack(others, dtype=np.float64).mean(0))


def _best(
    score: Float[np.ndarray, " neuron"] | pd.Series, found: RelationSets, relation: str
) -> Int64[np.ndarray, " k"]:
    """Return the best neurons, as many as the relation's set has; of equal ones, the first."""
    flat = np.array(score, dtype=np.float64)
    flat[found.banned] = -np.inf
    return np.argsort(-flat, kind="stable")[: len(found.sets[relation])].astype(np.int64)
