"""The section `facts` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.pipeline.params import Count
from neuron_atlas.sources.settings import FactSource

Allowed = Literal["label_is_id", "same_label", "copy", "mixed_scripts"]


class FactPlan(Limits):
    """How many facts are kept, and how their subjects are dealt."""

    min_per_relation: Annotated[int, Field(ge=4)]
    """Smallest number of facts per relation; a relation is left out where it has fewer. Not of
    `builtin`."""
    development_share: Annotated[float, Field(ge=0, lt=1)]
    """Share of the subjects kept for demonstrations; the rest is halved."""


class Facts(FactSource, FactPlan):
    """Where facts come from, and which of them and of their templates are used."""

    relations: Annotated[list[str], Field(min_length=1)] | None
    """Names of the relations; `null` takes all of the source's, or twelve of the built-in ones."""
    paraphrases: Count
    """Templates per relation, in their order."""
    min_languages: Count | Literal["all"]
    """Languages in which each fact must be present, or `all`. Does not apply to `builtin`."""
    max_answer_tokens: Count | None
    """Largest number of tokens per answer; `null` keeps all. Does not apply to `builtin`."""
    allow: list[Allowed]
    """Reasons of the cleaning that are counted but drop no fact. Does not apply to `builtin`."""
    stand_in: bool
    """Whether one of our templates is used if the source has none that a decoder can be asked with.
    Does not apply to `builtin`."""
