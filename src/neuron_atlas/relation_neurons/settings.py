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
    massive: Annotated[float, Field(gt=1)]
    """A unit is massive if its largest activation exceeds this many times its layer's median
    largest activation (Sun et al. 2024 call such values massive activations)."""
    exclude_massive: bool
    """Whether massive units are left out of sets and of their random controls."""
    n_permutations: Count
    """How often labels are shuffled for the null of the score."""
    n_null_neurons: Count
    """Neurons sampled in each layer for that null."""
    n_draws: Annotated[int, Field(ge=2)]
    """Matched random sets per set, whose held-out scores are compared with its own."""
    seed: int
    """Seed of the shufflings and draws."""

    @property
    def of_scores(self) -> dict[str, Any]:
        """What scores depend on; the rest concerns the sets that are chosen by them."""
        chosen = {"templates", "min_facts", "n_permutations", "n_null_neurons", "seed"}
        return self.model_dump(include=chosen)
