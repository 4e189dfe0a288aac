"""The section `selection` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Section

Two = Annotated[int, Field(ge=2)]
One = Annotated[int, Field(ge=1)]


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
