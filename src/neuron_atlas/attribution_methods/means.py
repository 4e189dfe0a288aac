"""Each neuron's mean over prompts of other relations: to what it is set, and compared with."""

from collections.abc import Mapping

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens

Means = Mapping[str, Float[Tensor, "layer neuron"]]


def mean_prompts(recalled: pd.DataFrame, *, per_relation: int) -> pd.DataFrame:
    """Return the right prompts over which means are taken, the first of each relation's facts.

    Args:
        recalled: One language's recall table.
        per_relation: At most so many facts of each relation, each in its first right prompt.
    """
    right = recalled[recalled["correct"] & roles.selecting_templates(recalled)]
    first = right.drop_duplicates("fact")
    return first.groupby("relation", sort=True).head(per_relation)


def relation_means(lm: LanguageModel, prompts: pd.DataFrame) -> Means:
    """Return each relation's mean values at the answer position, over its prompts."""
    tokens, total = CandidateTokens(lm), dict[str, Tensor]()
    for relation, rows in prompts.groupby("relation", sort=True):
        questions = [question_of(tokens, row) for row in store.records(rows)]
        parts = [found.scores.sum(0) for found in gradients.own_values(lm, questions)]
        total[str(relation)] = torch.stack(parts).sum(0) / len(questions)
    return total


def of_others(means: Means, relation: str) -> Float[Tensor, "layer neuron"]:
    """Return the mean over all relations but one, each counting the same.

    Where there is no other relation, it is the mean of the one.
    """
    others = [mean for name, mean in means.items() if name != relation]
    return torch.stack(others or list(means.values())).mean(0)
