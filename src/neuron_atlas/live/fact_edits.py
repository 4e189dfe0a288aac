"""Change a fact through some neurons, and ask it in two wordings, and an unrelated fact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from neuron_atlas.editing.equal_reliability import to_margin
from neuron_atlas.editing.fitted_edits import ArmEdit, fit_edits
from neuron_atlas.editing.measured_edits import Questions
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.tokenised import fit_prompts
from neuron_atlas.interventions.neuron_sets import RANDOM, NeuronSet
from neuron_atlas.live import beside_random
from neuron_atlas.live.asking import Question
from neuron_atlas.live.beside_random import Change, Draws, Effects, Pushes
from neuron_atlas.live.known_facts import KnownFact, Where
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import applied
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import log_probabilities

Operation = Literal["suppress", "enhance"]
SCALES: Mapping[Operation, float] = {"suppress": 0.0, "enhance": 2.0}
GIVEN = "given"  # how the set was chosen; `RANDOM` ones are the others


@dataclass(frozen=True)
class Place:
    """One prompt that is asked before and after a change.

    Attributes:
        where: What it is for.
        row: Its row of the recall table.
        asked: The prompt with all its candidates.
    """

    where: Where
    row: Mapping[str, Any]
    asked: Question

    def as_dict(
        self, effects: Effects, pushes: Pushes | None = None, *, new: str | None = None
    ) -> dict[str, Any]:
        """Return what happened here, ready for JSON.

        Args:
            effects: On the candidates.
            pushes: Of the sets, where there are such.
            new: The id of the answer that the fact was to get.
        """
        labels = self.asked.labels
        wanted = [asked_for(self.row)]
        if new in self.row["candidates"] and self.where != "unrelated":
            wanted.append(self.row["candidates"].index(new))
        return {
            "where": self.where,
            "fact": self.row["fact"],
            "prompt": self.asked.prompt,
            "says_before": labels[int(effects.before.argmax())],
            "says_after": labels[int(effects.after.argmax())],
            "answers": [{"answer": labels[i], **effects.as_dict(i)} for i in wanted],
            **(pushes.as_dict() if pushes else {}),
        }


def places(lm: LanguageModel, known: KnownFact, *, seed: int) -> list[Place]:
    """Return the fact's prompt and paraphrase, and an unrelated fact, as far as there are such."""
    tokens = CandidateTokens(lm)
    found = []
    for where, row in known.places(seed).items():
        labels = row["candidate_labels"]
        answers = tokens.answers(row["prompt"], row["separator"], labels)
        asked = Question(row["prompt"], tuple(labels), tuple(answers), given=True)
        found.append(Place(where, row, asked))
    return found


def operate(
    lm: LanguageModel,
    known: KnownFact,
    which: Operation,
    neurons: Int[np.ndarray, " m"],
    draws: Draws,
) -> list[dict[str, Any]]:
    """Suppress or enhance neurons, beside random ones, and ask.

    A neuron's own value is multiplied by 0 or 2 at the answer position: Chen et al. 2024 (arXiv
    2308.13198, section 4.2); see `interventions.suppress_enhance`.

    Returns:
        Each prompt's `Place.as_dict`.
    """
    change = Change(torch.zeros(lm.n_layers, lm.n_neurons), SCALES[which])
    return [
        one.as_dict(*beside_random.measure(lm, one.asked, neurons, change, draws))
        for one in places(lm, known, seed=draws.seed)
    ]


def edit(
    lm: LanguageModel,
    known: KnownFact,
    new: str,
    neurons: Int[np.ndarray, " m"],
    draws: Draws,
    how: Descent,
) -> list[dict[str, Any]]:
    """Edit the neurons' value vectors so that the fact gets a new answer, and ask.

    The edit is fitted to the fact's wordings but the held one, and scaled so that the new answer
    wins there by the margin, as in the stage `editing`; so are edits of random neurons, as many, of
    the same layers and of like activation. The model is as before afterwards.

    Args:
        lm: The model.
        known: The fact.
        new: The id of the new answer.
        neurons: Flat indices.
        draws: Of the random sets.
        how: Steps and bounds.

    Returns:
        Each prompt's `Place.as_dict`.

    Raises:
        ValueError: the new answer begins with the same token as the right one.
    """
    names = ("edit", "matched", known.fact)
    random = draws.like.matched(neurons, names=names, seed=draws.seed, n_draws=draws.n)
    asked = places(lm, known, seed=draws.seed)
    queries = [one.asked.query(lm) for one in asked]
    values = [log_probabilities(lm, queries)]
    for one in _fitted(lm, known, new, [neurons, *random], how):
        with applied(lm, one.edit):
            values.append(log_probabilities(lm, queries))
    return [
        one.as_dict(_effects([one.asked.apart(lm, v[i])[0] for v in values]), new=new)
        for i, one in enumerate(asked)
    ]


def _fitted(
    lm: LanguageModel,
    known: KnownFact,
    new: str,
    sets: Sequence[Int[np.ndarray, " m"]],
    how: Descent,
) -> list[ArmEdit]:
    """Fit an edit of each set, and scale it to the margin."""
    tokens = CandidateTokens(lm)
    case = Case(known.fact, str(known.held["relation"]), (known.language,), (), new)
    prompts = fit_prompts(lm, known.tables, tokens, [case])
    if any(len(set(point.choices)) < 2 for point in prompts.points):
        raise ValueError(f"the new answer begins as the right one of {known.fact}; name another")
    first = NeuronSet(case.fact, case.relation, GIVEN, sets[0])
    others = [NeuronSet(case.fact, case.relation, RANDOM, n, i) for i, n in enumerate(sets[1:])]
    fitted = fit_edits(lm, [case], prompts, {case.fact: [first, *others]}, how)[case.fact]
    questions = Questions(lm, known.tables, pd.DataFrame(), tokens)
    return to_margin(questions, case, fitted, margin=how.margin)


def _effects(values: Sequence[Float[np.ndarray, " answer"]]) -> Effects:
    before, after, *random = values
    return Effects(before, after, np.array(random) - before)
