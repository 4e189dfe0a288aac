"""The section `language_neurons` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section, ShareOrAll


class SharingRule(Section):
    """What makes a neuron language-independent, and how chance is measured."""

    k: Count
    """Strongest neurons of a fact in one language."""
    share: ShareOrAll
    """Share of the fact's paraphrases in which a neuron must be attributed something."""
    min_languages: Annotated[int, Field(ge=2)] | Literal["all"]
    """Languages that share a neuron, or `all`; a fact of fewer languages needs all of them."""
    n_permutations: Annotated[int, Field(ge=19)]
    """Deals of the sets to other facts, for the null."""
    n_draws: Count
    """Matched random sets."""
    seed: int
    """Of deals and draws."""
