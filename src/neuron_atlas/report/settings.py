"""The section `report` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section


class PageSettings(Section):
    """What the page shows."""

    title: Annotated[str, Field(min_length=1)]
    """Heading of the page."""
    top_neurons: Count
    """Neurons listed for each relation, best first."""
