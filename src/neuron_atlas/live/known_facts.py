"""A fact that the model knows: its wordings, an unrelated fact, its candidates, its neurons."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.editing import plan
from neuron_atlas.editing.plan import Tables
from neuron_atlas.interventions.neuron_sets import AMIG, METHODS
from neuron_atlas.neurons.knowledge_sets import neurons_by_grade
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice

Where = Literal["prompt", "paraphrase", "unrelated"]


@dataclass(frozen=True)
class KnownFact:
    """A fact that the model knows in one language.

    Attributes:
        fact: Its id.
        language: The language.
        tables: All known facts of the language.
    """

    fact: str
    language: str
    tables: Tables

    @property
    def held(self) -> dict[str, Any]:
        """The wording that nothing is fitted to."""
        return store.records(plan.of_fact(self.tables.held[self.language], self.fact))[0]

    @property
    def shown(self) -> dict[str, Any]:
        """The first of the wordings that an edit is fitted to."""
        return store.records(plan.shown(self.tables, self.fact, self.language))[0]

    def places(self, seed: int) -> dict[Where, dict[str, Any]]:
        """Return the prompts that are asked, by what they are for; one may be missing.

        The unrelated fact is one of another relation, subject and answer, drawn by the seed.
        """
        found: dict[Where, dict[str, Any]] = {"prompt": self.shown}
        if self.held["template"] != self.shown["template"]:
            found["paraphrase"] = self.held
        table = self.tables.held[self.language]
        if prompt_choice.all_unrelated(table, self.held):
            rng = stream(seed, "edit", "unrelated", self.language, self.fact)
            (other,) = prompt_choice.unrelated(table, self.held, n=1, rng=rng)
            found["unrelated"] = store.records(plan.of_fact(table, other))[0]
        return found

    def candidate(self, label: str) -> str:
        """Return the id of a wrong answer.

        Raises:
            ValueError: it is no candidate of the fact, or a right answer.
        """
        row = self.shown
        labels = row["candidate_labels"]
        if label not in labels:
            raise ValueError(f"{label!r} is no candidate of {self.fact}; there are {labels}")
        found = str(row["candidates"][labels.index(label)])
        if found in row["objects"]:
            raise ValueError(f"{label!r} is a right answer of {self.fact} already; name another")
        return found


def find(recalled: pd.DataFrame, fact: str, language: str) -> KnownFact:
    """Return a fact that the model knows.

    Raises:
        ValueError: there is no such fact, or the model does not know it.
    """
    tables = plan.read_tables({language: recalled})
    known = tables.held[language]["fact"].astype(str).tolist()
    if fact not in known:
        some = f"it knows {len(known)}, such as {', '.join(known[:5])}"
        if fact in set(recalled["fact"]):
            raise ValueError(f"the model does not know {fact} in {language}; {some}")
        raise ValueError(f"there is no fact {fact!r} in {language}; {some}")
    return KnownFact(fact, language, tables)


def strongest(scores: pd.DataFrame, known: KnownFact, n: int) -> Int[np.ndarray, " n"]:
    """Return a fact's strongest neurons by attribution, of wordings but the held one.

    Raises:
        ValueError: the fact was not attributed, or fewer neurons are stored.
    """
    own = scores[scores["fact"] == known.fact]
    if own.empty:
        some = ", ".join(map(str, scores["fact"].unique()[:5]))
        raise ValueError(
            f"the run has no attribution of {known.fact} in {known.language}; name neurons, or a "
            f"fact that it has one of, such as {some}"
        )
    left = prompt_choice.other_paraphrases(own, known.tables.held[known.language])
    order = neurons_by_grade(left, method=METHODS[AMIG])[known.fact]
    if len(order) < n:
        raise ValueError(f"{len(order)} neurons of {known.fact} are stored, {n} were asked for")
    return order[:n]
