"""One fact's prompt with its clean pass, and the values to which its neurons are set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import occlusion
from neuron_atlas.attributions.clean_pass import CleanPass, clean_passes, target_of
from neuron_atlas.attributions.gradients import Mean
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.model.language_model import LanguageModel

Reference = Literal["zero", "mean", "path", "input"]
REFERENCES: tuple[Reference, ...] = ("zero", "mean", "path", "input")
Low = Float[Tensor, "point path layer neuron"]


@dataclass(frozen=True)
class Case:
    """A question in its clean pass.

    Attributes:
        clean: The clean pass of this question alone.
        question: The question.
        plan: How stage `attributions` attributes, with its steps.
        others: Each neuron's mean over prompts of other relations.
        path_mean: Where its paths start if `plan.baseline` is `mean`.
        name: What tells the random scores of this question from those of others.
        seed: Of the random scores.
        input_steps: As in `settings.MethodComparison`.
    """

    clean: CleanPass
    question: Question
    plan: AttributionPlan
    others: Mean
    path_mean: Mean | None
    name: tuple[str, ...]
    seed: int
    input_steps: int

    @property
    def lm(self) -> LanguageModel:
        """The model."""
        return self.clean.lm

    @cached_property
    def value(self) -> Float[Tensor, " point"]:
        """The target at the neurons' own values."""
        output = self.clean.trace.output[:, None]
        return target_of(self.lm, output, self.clean.batch, self.plan.target)[:, 0]

    @property
    def values(self) -> Float[Tensor, "point layer neuron"]:
        """The neurons' own values, in float32."""
        return self.clean.trace.values.float()

    @cached_property
    def low(self) -> Mapping[Reference, Low]:
        """What neurons are set to, by reference.

        `zero`; `mean`, over prompts of other relations; `path`, where the paths of stage
        `attributions` start, one for each word that is hidden; `input`, the neuron's value with
        the whole query hidden. The last is missing where no token hides a word.
        """
        found: dict[Reference, Low] = {
            "zero": self._zero(),
            "mean": self._each(self.others),
            "path": self._path(),
        }
        if hides_words(self.lm):
            found["input"] = occlusion.occluded_values(
                self.lm, self.clean.batch.points, [[word] for word in self.hidden]
            )
        return found

    @property
    def hidden(self) -> list[tuple[int, ...]]:
        """Of each point, the positions of all words of the query."""
        return [tuple(i for word in words for i in word) for words in self.clean.batch.words]

    def _zero(self) -> Low:
        return torch.zeros_like(self.clean.trace.values)[:, None]

    def _path(self) -> Low:
        if self.plan.baseline == "occlusion":
            return self.clean.occluded
        return self._zero() if self.path_mean is None else self._each(self.path_mean)

    def _each(self, one: Mean) -> Low:
        own = self.clean.trace.values
        return one.to(own).expand_as(own)[:, None]


def case_of(
    lm: LanguageModel,
    question: Question,
    plan: AttributionPlan,
    *,
    others: Mean,
    path_mean: Mean | None,
    name: tuple[str, ...],
    seed: int,
    input_steps: int,
) -> Case:
    """Run the clean pass of one question; arguments as the attributes of `Case`."""
    (clean,) = clean_passes(lm, [question], by_words=True)
    return Case(clean, question, plan, others, path_mean, name, seed, input_steps)


def hides_words(lm: LanguageModel) -> bool:
    """Say whether the model has a token that hides a word; see `occlusion.filler_token`."""
    return lm.architecture.encoder or lm.network.config.eos_token_id is not None
