"""Tokenise the prompts of facts that are edited, with their new and old answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from neuron_atlas.attributions.questions import Point, Question, points
from neuron_atlas.editing import plan
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text
from neuron_atlas.model_edits.fit_prompts import FitPrompts, subject_token
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for


def fit_prompts(
    lm: LanguageModel, tables: Tables, tokens: CandidateTokens, cases: Sequence[Case]
) -> FitPrompts:
    """Return the cases' prompts that `plan.fitted` names, case by case."""
    found: list[Point] = []
    numbers = []
    for i, case in enumerate(cases):
        for row in store.records(plan.fitted(tables, case)):
            new, old = texts(tokens, case, row)
            (first, *_) = points(lm, Question(row["prompt"], new))
            found.append(first._replace(choices=(new[0], old[0])))
            last = subject_token(lm, row, n_answer=len(new))
            numbers.append((i, case.sources.index(row["language"]), last))
    fact, source, subject = torch.tensor(numbers).T
    return FitPrompts(found, fact, source, subject)


def texts(tokens: CandidateTokens, case: Case, row: Mapping[str, Any]) -> tuple[Text, Text]:
    """Return the tokens of the new object and of the old answer."""
    new = row["candidates"].index(case.new)
    return tokens.candidate(row, new), tokens.candidate(row, asked_for(row))
