"""The section `recall` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section


class Demonstrations(Section):
    """A second condition: held-out facts, asked with the testing template after solved ones."""

    shots: Count
    """Solved development facts before each prompt."""
    blocks: Annotated[int, Field(ge=0)]
    """How often each fact is asked, after other demonstrations each time; 0 leaves this out."""


class Asking(Section):
    """How facts are asked."""

    shots: Annotated[int, Field(ge=0)]
    """Solved development facts before each prompt that later stages use; 0 asks without any."""
    demonstrations: Demonstrations
    exact_ranks: Count | None
    """Best candidates per prompt that are scored to their end; others only as far as the rank of
    the right answer needs it. `null` scores all."""
    n_reference: Annotated[int, Field(ge=0)]
    """Prompts asked again in float32, to measure what the precision costs."""
