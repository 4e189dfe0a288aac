"""The section `relation_neurons` of params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section

OverTemplates = Literal["min", "mean"]


class SetPlan(Section):
    """How each relation's set of neurons is chosen, and how chance is measured."""

    k: Count
    """Neurons per set."""
    templates: OverTemplates
    """Score over a relation's paraphrases: the least (`min`) or the `mean`."""
    min_facts: Count
    """Known facts that each relation needs in each half of the subjects."""
    min_positives: Count
    """Right prompts that a relation and template need in a half to be scored there; a relation
    needs two such templates, besides the one that tests."""
    massive: Annotated[float, Field(gt=1)]
    """A unit is massive if its largest activation exceeds this many times its layer's median
    largest activation (Sun et al. 2024 call such values massive activations)."""
    exclude_massive: bool
    """Whether massive units are left out of sets and of their random controls."""
    n_chimeras: Annotated[int, Field(ge=19)]
    """Chimeras per language, and over all: relations put together from other relations' templates,
    which say what a relation's figures are without a relation."""
    n_draws: Annotated[int, Field(ge=2)]
    """Matched random sets per set, whose held-out scores are compared with its own."""

    @property
    def of_scores(self) -> dict[str, Any]:
        """What scores and the measures of chimeras depend on: all but the random controls."""
        return self.model_dump(exclude={"n_draws"})
