"""The section `cards` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section


class CardPlan(Section):
    """How much the card of each neuron says."""

    tokens: Count
    """Tokens listed per neuron that it promotes most, and as many that it suppresses most."""
    tokens_per_script: Count
    """The same, of each script in which the run's languages are written."""
    tokens_counted: Count
    """First tokens of which the share of each script is counted."""
    prompts: Count
    """Prompts listed per neuron on which it is strongest, and as many on which it is weakest."""
    partners: Count
    """Neurons listed per neuron that are selected for the same facts more often than by chance."""
    effect_facts: Annotated[int, Field(ge=0)]
    """Right held-out facts per relation and language on which each neuron of the pooled set is
    switched off by itself; 0 measures nothing."""
    n_draws: Annotated[int, Field(ge=19)]
    """Matched random sets per set, and random neurons per neuron: do the set's neurons write what
    they detect?"""
