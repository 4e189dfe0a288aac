"""The section `recall` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section


class Asking(Section):
    """How facts are asked."""

    shots: Annotated[int, Field(ge=0)]
    """Solved development facts before each prompt."""
    seed: int
    """Seed of the choice of demonstrations and of the prompts asked again."""
    exact_ranks: Count | None
    """Best candidates per prompt that are scored to their end; others only as far as the rank of
    the right answer needs it. `null` scores all."""
    n_reference: Annotated[int, Field(ge=0)]
    """Prompts asked again in float32, to measure what the precision costs."""
