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
from neuron_atlas.neurons.relation_sets import RelationSets, SetsByRelation
from neuron_atlas.other_selectors import scores
from neuron_atlas.pipeline import checkpoints
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
        hidden units, which have no gradient here.
    """
    if values.meta["site"] != "hidden":
        return {}
    used = recalled[recalled["correct"] & roles.selects(recalled)]
    used = used[used["relation"].isin(found.sets)].sort_values("relation", kind="stable")
    run = partial(_Selection(lm, found, off_values(values, how, seed=seed)).of, used)
    relations = used[["relation"]].drop_duplicates()
    table = checkpoints.in_parts(relations, run, key=key, size=1)
    return {
        str(name): {str(r): one["neuron"].to_numpy(np.int64) for r, one in rows.groupby("relation")}
        for name, rows in table.groupby("selector")
    }


def as_table(selected: Mapping[str, SetsByRelation], found: RelationSets) -> pd.DataFrame:
    """Return sets as a table with `COLUMNS`; the last says whether average precision has a neuron.

    Args:
        selected: By selector, sets of relations.
        found: Average precision's.
    """
    parts = [pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)]
    for selector, sets in selected.items():
        for relation, chosen in sets.items():
            columns = {"selector": selector, "relation": relation, "rank": range(len(chosen))}
            shared = np.isin(chosen, found.sets[relation])
            part = pd.DataFrame({**columns, "neuron": chosen, "in_average_precision": shared})
            parts.append(part.astype(COLUMNS))
    return pd.concat(parts[1:] or parts, ignore_index=True)


@dataclass(frozen=True)
class _Selection:
    lm: LanguageModel
    found: RelationSets
    tables: Mapping[str, Float[Tensor, "layer neuron"]]

    def of(self, prompts: pd.DataFrame, relations: pd.DataFrame) -> pd.DataFrame:
        """Return the sets of one relation, from the prompts of all."""
        relation = str(relations["relation"].iloc[0])
        tokens, size = CandidateTokens(self.lm), len(self.found.sets[relation])
        asked = [
            question_of(tokens, row) for row in records(prompts[prompts["relation"] == relation])
        ]
        off = self.tables.get(relation, next(iter(self.tables.values())))
        scored = scores.of_relation(self.lm, asked, off, Writing(self.lm, "hidden"))
        chosen = {name: {relation: self._best(one, size)} for name, one in scored.items()}
        return as_table(chosen, self.found)

    def _best(self, score: Float[Tensor, "layer neuron"], k: int) -> Int64[np.ndarray, "{k}"]:
        """Return the neurons of the highest scores; of equal ones, the first."""
        flat = score.double().flatten().numpy().copy()
        flat[self.found.banned] = -np.inf
        return np.argsort(-flat, kind="stable")[:k].astype(np.int64)
