"""What a user can choose about the interventions: sections `interference` and `selection`."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Section

Value = Literal["zero", "mean", "other_mean"]
Positions = Literal["answer", "all"]
Share = Annotated[float, Field(gt=0, lt=1)]
Two = Annotated[int, Field(ge=2)]
One = Annotated[int, Field(ge=1)]


class Interference(Section):
    """How neurons are switched off, on which facts, and with how many controls."""

    value: Value
    """What neurons are set to: `zero`, their `mean`, or `other_mean`, the mean over the other
    relations."""

    positions: Positions
    """Where they are set: at the `answer` position or at `all` positions."""

    max_facts: Two
    """Held-out facts that the model answers right, per relation and language."""

    n_draws: Two
    """Matched random sets for each set that is switched off."""

    n_dose_draws: Two
    """Random orders, and matched random sets, per dose."""

    doses: Annotated[list[Share], Field(min_length=1)]
    """Shares of each set that are switched off."""

    seed: int
    """Seed of the draws and of the choice of facts."""

    @property
    def everywhere(self) -> bool:
        """Whether all positions of the prompt are edited."""
        return self.positions == "all"


class Selection(Section):
    """Which neurons are selected for each fact, and on which prompts they are tested."""

    tau: Annotated[float, Field(ge=0, lt=1)]
    """Share of the prompt's largest attribution that a knowledge neuron must exceed."""

    share: Annotated[float, Field(gt=0, le=1)]
    """Share of the paraphrases in which it must do so."""

    max_neurons: One
    """Largest number of neurons per fact; every method gets equally many."""

    n_unrelated: One
    """Prompts of other relations per fact."""

    n_draws: Two
    """Matched random sets per fact."""

    seed: int
    """Seed of the draws and of the choice of prompts."""
