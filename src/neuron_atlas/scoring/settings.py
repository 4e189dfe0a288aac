"""The section `scoring` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Section


class Scoring(Section):
    """How answers are scored while neurons are changed."""

    tolerance: Annotated[float, Field(ge=0)]
    """Largest error, nats, of a normaliser that is not summed over the whole vocabulary, on the
    rows where both are computed; where it is larger, the sum is made. 0 always makes it."""
