"""The section `editing` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.model_edits.settings import Baselines, Descent
from neuron_atlas.pipeline.params import Count, Section


class EditingPlan(Section):
    """Which facts are edited through which neurons, and where the effect is measured."""

    n_sources: Annotated[int, Field(ge=2)]
    """Languages in which each fact's neurons are looked for; all others measure the edits too."""
    max_facts: Count
    """Facts per relation."""
    neurons: Annotated[int, Field(ge=2)]
    """Neurons per set at most; all of a fact's arms have as many as its independent one."""
    n_unrelated: Count
    """Prompts of other relations per fact."""
    n_draws: Count
    """Matched random sets per fact."""
    descent: Descent
    baselines: Baselines
