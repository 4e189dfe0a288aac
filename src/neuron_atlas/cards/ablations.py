"""What a relation's right answers lose without one neuron of its pooled set, measured exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from neuron_atlas.arms.arm import Tables
from neuron_atlas.arms.settings import Interference
from neuron_atlas.cards import tables
from neuron_atlas.facts import roles
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import query
from neuron_atlas.statistics.estimates import clustered_standard_error
from neuron_atlas.statistics.random_effects import t_test

FEWEST_SUBJECTS = 3  # that an interval needs
PROMPT = ["fact", "relation", "subject", "language"]
MEASURED = {
    "neuron": "int64",
    **dict.fromkeys(PROMPT, "str"),
    "effect": "float64",
}


@dataclass(frozen=True)
class SingleAblations:
    """Switches the neurons of pooled sets off, one at a time.

    Attributes:
        lm: The model.
        site: Which values of the MLP are neurons.
        sets: The pooled sets.
        off: By language what switched-off neurons are set to; see `replacements.off_values`.
        how: As in the stage `interference`.
        tolerance: As in `log_probability.ask`.
    """

    lm: LanguageModel
    site: Site
    sets: SetsByRelation
    off: Mapping[str, Tables]
    how: Interference
    tolerance: float

    def measure(self, prompts: pd.DataFrame, *, key: str) -> pd.DataFrame:
        """Return the effects of all neurons of each prompt's relation, with `MEASURED`.

        Args:
            prompts: From `chosen_prompts`, a relation's prompts together.
            key: Names the finished parts on disk; see `checkpoints.key`.
        """
        usable = [self._can(row) for row in prompts[PROMPT].to_dict("records")]
        asked = prompts[np.array(usable, dtype=np.bool_)].reset_index(drop=True)
        sizes = asked.groupby("relation", sort=False).size().tolist()
        return checkpoints.in_parts(asked, self._of_relation, key=key, size=sizes)

    def _can(self, row: Mapping[Any, Any]) -> bool:
        own = self.off.get(row["language"], {})
        return row["relation"] in self.sets and ("" in own or row["relation"] in own)

    def _of_relation(self, prompts: pd.DataFrame) -> pd.DataFrame:
        if prompts.empty:
            return store.no_rows(MEASURED)
        relation = str(prompts["relation"].iloc[0])
        neurons, tokens = self.sets[relation], CandidateTokens(self.lm)
        languages = sorted(set(prompts["language"]))
        off = self._switched_off(neurons.tolist(), relation, languages)
        rows = store.records(prompts)
        queries = [
            query(self.lm, row["prompt"], [tokens.candidate(row, asked_for(row))]) for row in rows
        ]
        first = [languages.index(row["language"]) * len(neurons) for row in rows]
        found = off.ask_beside_clean(queries, [range(i, i + len(neurons)) for i in first])
        parts = [
            pd.DataFrame(
                {"neuron": neurons, "effect": one.values[1:, 0] - one.values[0, 0]}
            ).assign(**{name: row[name] for name in PROMPT})
            for one, row in zip(found, rows, strict=True)
        ]
        return tables.typed(parts, MEASURED)

    def _switched_off(
        self, neurons: Sequence[int], relation: str, languages: Sequence[str]
    ) -> Intervention:
        """Prepare one arm per language and neuron, the first language's first."""
        own = [self.off[code] for code in languages]
        values = torch.stack([one[relation if relation in one else ""].float() for one in own])
        edits = ablation.edits_of(
            [np.array([neuron]) for _ in languages for neuron in neurons],
            values,
            np.repeat(np.arange(len(languages)), len(neurons)).tolist(),
        )
        return Intervention(
            self.lm,
            edits,
            site=self.site,
            everywhere=self.how.everywhere,
            tolerance=self.tolerance,
        )


def chosen_prompts(
    recalled: Mapping[str, pd.DataFrame], *, n_facts: int, seed: int
) -> pd.DataFrame:
    """Choose right held-out prompts of every relation, in each language other facts if there are.

    Which facts are asked in a language does not depend on any effect: a drawn order, in which a
    fact that no earlier language has taken comes first.

    Args:
        recalled: Recall tables by language.
        n_facts: Facts per relation and language, at most.
        seed: Of the order.

    Returns:
        Rows of the recall tables with `language`, by relation.
    """
    taken: set[str] = set()
    parts = []
    for code, table in recalled.items():
        right = table[roles.tests(table) & table["correct"].astype(bool)].drop_duplicates("fact")
        number = [
            (f in taken, stream(seed, "cards", "effects", str(f)).random()) for f in right["fact"]
        ]
        order = sorted(range(len(right)), key=number.__getitem__)
        own = right.iloc[order].groupby("relation", sort=True).head(n_facts)
        taken |= set(own["fact"])
        parts.append(own.assign(language=code))
    if not parts:
        return pd.DataFrame()
    joined = pd.concat(parts, ignore_index=True)
    return joined.sort_values("relation", kind="stable", ignore_index=True)


def summed_up(measured: pd.DataFrame) -> pd.DataFrame:
    """Return `tables.EFFECTS`: one row per neuron and relation, the mean over its prompts.

    The interval is a t interval with a standard error that is clustered by subject; it is missing
    with fewer than `FEWEST_SUBJECTS` of them. `language` and `fact` are those of all prompts, or
    missing where there are several.
    """
    rows = [
        {"neuron": neuron, "relation": relation, **_row(part)}
        for (neuron, relation), part in measured.groupby(["neuron", "relation"], sort=True)
    ]
    table = pd.DataFrame(rows, columns=[*tables.EFFECTS])
    return tables.typed([table.assign(measured_by="cards", unit="nats")], tables.EFFECTS)


def _row(part: pd.DataFrame) -> dict[str, Any]:
    values, subjects = part["effect"].to_numpy(np.float64), part["subject"].to_numpy(str)
    mean = float(values.mean())
    row: dict[str, Any] = {"effect": mean, "n_prompts": len(values)}
    for name in ("language", "fact"):
        row[name] = part[name].iloc[0] if part[name].nunique() == 1 else None
    n_subjects = len(np.unique(subjects))
    if n_subjects >= FEWEST_SUBJECTS:
        error = clustered_standard_error(values, subjects)
        effect = t_test(mean, error, float(n_subjects - 1)).effect
        row |= {"low": effect.low, "high": effect.high}
    return row
