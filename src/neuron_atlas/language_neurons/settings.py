"""The section `language_neurons` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section, ShareOrAll


class SharingRule(Section):
    """What makes a neuron language-independent, and how chance is measured."""

    k: Count
    """Strongest neurons per fact and language."""
    share: ShareOrAll
    """Share of the fact's paraphrases in which a neuron's attribution must be positive."""
    min_languages: Annotated[int, Field(ge=2)] | Literal["all"]
    """Languages that must share a neuron, or `all`; a fact known in fewer needs all of its own."""
    n_permutations: Annotated[int, Field(ge=19)]
    """Times that the sets are dealt to other facts, for the null."""
    n_draws: Count
    """Matched random sets."""
