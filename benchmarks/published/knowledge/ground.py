"""One language's sets and prompts, with what matches and scales their controls."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import controls
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import Name, stream
from neuron_atlas.scoring.candidates import CandidateTokens
from published.knowledge.facts import Asked, Prompt
from published.knowledge.plan import Plan
from published.knowledge.sets import Sets

Values = Mapping[Prompt, Float[Tensor, "layer neuron"]]


def clean_values(lm: LanguageModel, prompts: pd.DataFrame) -> dict[Prompt, Tensor]:
    """Return the neurons' values at the answer position of each prompt, unedited.

    Of an answer of several tokens, the mean over their positions.
    """
    tokens, listed = CandidateTokens(lm), store.records(prompts)
    found = {}
    for part in gradients.own_values(lm, [question_of(tokens, row) for row in listed]):
        for place, values in zip(part.places.tolist(), part.scores, strict=True):
            found[listed[place]["fact"], int(listed[place]["template"])] = values
    return found


@dataclass(frozen=True)
class Ground:
    """What one language's arms are made from.

    Attributes:
        lm: The model.
        asked: The prompts.
        sets: By method and fact.
        values: The neurons' values on every prompt.
        plan: Draws and seed.
    """

    lm: LanguageModel
    asked: Asked
    sets: Sets
    values: Values
    plan: Plan

    @cached_property
    def own_prompt(self) -> dict[str, Prompt]:
        """Each fact's published prompt."""
        return {f: (f, t) for f, t in self.asked.templates(self.asked.published, self.facts)}

    @property
    def facts(self) -> list[str]:
        """All facts."""
        return list(self.asked.relations)

    @cached_property
    def size(self) -> Float[np.ndarray, "layer neuron"]:
        """Each neuron's mean |value| over the published prompts."""
        found = torch.stack([self.values[p].abs() for p in self.own_prompt.values()])
        return np.asarray(found.double().mean(0).numpy())

    @cached_property
    def writing(self) -> Writing:
        """What the neurons write."""
        return Writing(self.lm, "hidden")

    @cached_property
    def prompts(self) -> dict[Prompt, dict[str, Any]]:
        """The row of each prompt."""
        return {(r["fact"], int(r["template"])): r for r in store.records(self.asked.everything)}

    def strength(self, fact: str) -> Float[np.ndarray, "layer neuron"]:
        """Return the push of each neuron alone, suppressed on the fact's published prompt."""
        values = self.values[self.own_prompt[fact]][None]
        return CleanValues(self.writing, values).strength(torch.zeros_like(values[0]))

    def matched(
        self,
        chosen: Int[np.ndarray, " k"],
        strength: Float[np.ndarray, "layer neuron"],
        *names: Name,
    ) -> Int[np.ndarray, "draw k"]:
        """Draw random neurons of the same layers that are alike in a strength, one by one."""
        purpose = ("published", self.asked.language, *names)
        return controls.matched_random(
            chosen, strength, names=purpose, seed=self.plan.seed, n_draws=self.plan.draws
        )

    def stream(self, *names: Name) -> np.random.Generator:
        """Return the generator of one purpose in this language."""
        return stream(self.plan.seed, "published", self.asked.language, *names)
