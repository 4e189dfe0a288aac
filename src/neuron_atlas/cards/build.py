"""Put the cards together, and write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from neuron_atlas.arms.replacements import off_values
from neuron_atlas.arms.settings import Interference
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.cards import (
    ablations,
    activity,
    effects,
    memberships,
    partners,
    prompts,
    tables,
    tokens,
    writes,
)
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.settings import CardPlan
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.relation_neurons import siblings
from neuron_atlas.relation_neurons.settings import SetPlan
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.value_vectors import answer_tokens, scripts
from neuron_atlas.value_vectors.at_head import ValueVectors
from neuron_atlas.value_vectors.top_tokens import Listed, TopTokens

PARTS = ("tokens", "effects")
LINEARISED = 2  # right prompts per relation and language at which an encoder's head is linearised
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml that the stage reads.

    Attributes:
        plan: How much cards say.
        relations: How relation neurons were scored.
        facts: How each fact's neurons are selected.
        off: What neurons are set to when they are switched off.
        tolerance: As in `log_probability.ask`.
        seed: The seed.
    """

    plan: CardPlan
    relations: SetPlan
    facts: SharingRule
    off: Interference
    tolerance: float
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return all that the results depend on, for `checkpoints.key`."""
        sections = (self.plan, self.relations, self.facts, self.off)
        named = {type(section).__name__: section.model_dump() for section in sections}
        return {**named, "tolerance": self.tolerance, "seed": self.seed}


@dataclass(frozen=True)
class Work:
    """What the cards are made of.

    Attributes:
        lm: The model.
        given: What the earlier stages left.
        how: The settings.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """

    lm: LanguageModel
    given: Inputs
    how: Settings
    key: str

    def write(self, out: Path) -> None:
        """Write every table, and `meta.json`, to the folder `out`."""
        found = self._tables()
        with store.whole(out) as folder:
            for name, columns in tables.COLUMNS.items():
                store.write_table(folder / f"{name}.parquet", found[name].astype(dict(columns)))
            store.write_json(folder / tables.META, self._meta(found))
        for part in PARTS:
            checkpoints.done(self._part(part))

    def _tables(self) -> Tables:
        given, done = self.given, self.active
        size = given.relation_sets[POOLED].size
        index = {code: one.index for code, one in given.values.items()}
        return {
            "neurons": memberships.neurons(
                self.members, self.best, size=size, massive=done.massive
            ),
            "memberships": self.members,
            "scores": activity.scores(done, self.carded),
            "prompts": prompts.named(done.extremes, index, given.recalled),
            "partners": self._partners(),
            **self._tokens(),
            **self._writes(),
            "effects": self._effects(),
        }

    @cached_property
    def members(self) -> pd.DataFrame:
        """In which sets each neuron is."""
        return memberships.memberships(self.given, self.how.facts)

    @cached_property
    def carded(self) -> Int64[np.ndarray, " carded"]:
        """The neurons that are in a set, rising."""
        return np.unique(self.members["neuron"].to_numpy(np.int64))

    @cached_property
    def best(self) -> pd.DataFrame:
        """The relation that each neuron is best at."""
        return memberships.best(self.members, self.given.languages)

    @cached_property
    def active(self) -> activity.Activity:
        """What all neurons do on the recorded prompts."""
        return activity.measure(
            self.given.values,
            self.carded,
            self.how.relations,
            n_neurons=self.given.shape[1],
            n_prompts=self.how.plan.prompts,
        )

    @cached_property
    def vectors(self) -> ValueVectors:
        """What the neurons write; an encoder's head is linearised at some right prompts."""
        known = CandidateTokens(self.lm)
        asked = []
        for table in self.given.recalled.values() if self.lm.architecture.transform else ():
            right = table[table["correct"].astype(bool)].drop_duplicates("fact")
            some = right.groupby("relation", sort=True).head(LINEARISED)
            asked += [question_of(known, row) for row in store.records(some)]
        return ValueVectors(self.lm, self.given.site, asked)

    @cached_property
    def shown(self) -> list[str]:
        """The scripts in which the run's languages are written."""
        return scripts.written_scripts(
            [*table["prompt"], *table["answer"]] for table in self.given.recalled.values()
        )

    def _tokens(self) -> Tables:
        words = scripts.vocabulary(self.lm.tokenizer, self.vectors.n_tokens)
        plan = self.how.plan
        listed = Listed(plan.tokens, plan.tokens_per_script, plan.tokens_counted)
        top = TopTokens(self.vectors, words, self.shown, listed)
        made = tokens.TokenTables(top, self.given.shape[1])
        sign = tokens.orientation(self.active, self.carded, self.best)
        found, shares = made.of_neurons(self.carded, sign, key=self._part("tokens"))
        sets = self.given.relation_sets[POOLED].sets
        whole = made.of_sets(self.active, sets)
        return {"tokens": found, "scripts": shares, "relation_tokens": whole}

    def _partners(self) -> pd.DataFrame:
        together = partners.co_selected(
            memberships.fact_sets(self.given, self.how.facts),
            n_neurons=self.given.shape[1],
            n_partners=self.how.plan.partners,
        )
        found = tables.typed([partners.degenerate(self.given), together], tables.PARTNERS)
        return found.sort_values("neuron", kind="stable", ignore_index=True)

    def _writes(self) -> Tables:
        near = siblings.find(self.given.recalled.values())
        compared = {
            code: answer_tokens.sides(answer_tokens.beginnings(self.lm, table), near)
            for code, table in self.given.recalled.items()
        }
        comparison = writes.Comparison(
            writes.measured(self.vectors, self.active, compared),
            self.active.sources,
            self.active.relations,
            n_draws=self.how.plan.n_draws,
            seed=self.how.seed,
        )
        order = (POOLED, *self.given.languages)
        neurons, wholes = writes.compare(
            comparison, {source: self.given.relation_sets[source] for source in order}
        )
        return {"writes": neurons, "relations": wholes}

    def _effects(self) -> pd.DataFrame:
        single = ablations.SingleAblations(
            self.lm,
            self.given.site,
            self.given.relation_sets[POOLED].sets,
            {code: self._off(code) for code in self.given.languages},
            self.how.off,
            self.how.tolerance,
        )
        asked = ablations.chosen_prompts(
            self.given.recalled, n_facts=self.how.plan.effect_facts, seed=self.how.seed
        )
        measured = single.measure(asked, key=self._part("effects"))
        parts = [ablations.summed_up(measured), effects.collected(self.given, self.carded)]
        found = tables.typed(parts, tables.EFFECTS)
        return found.sort_values("neuron", kind="stable", ignore_index=True)

    def _off(self, code: str) -> Mapping[str, Any]:
        """Return what neurons are set to in a language; nothing where it has no values for it."""
        try:
            return off_values(self.given.values[code], self.how.off.value, seed=self.how.seed)
        except ValueError:  # it knows no relation, or no other one
            return {}

    def _meta(self, found: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        n_layers, n_neurons = self.given.shape
        sets = self.members.drop_duplicates(["kind", "name", "language"])["kind"].value_counts()
        return {
            "n_layers": n_layers,
            "n_neurons": n_neurons,
            "site": self.given.site,
            "languages": self.given.languages,
            "relations": list(self.active.relations),
            "scripts": self.shown,
            "counts": {kind: int(sets.get(kind, 0)) for kind in tables.KINDS},
            "rows": {name: len(table) for name, table in found.items()},
            "settings": {
                **self.how.plan.model_dump(),
                "switched_off_to": self.how.off.value,
                "positions": self.how.off.positions,
            },
        }

    def _part(self, name: str) -> str:
        return f"{name} {self.key}"
