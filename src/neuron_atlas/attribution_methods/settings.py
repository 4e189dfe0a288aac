"""The section `attribution_methods` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Section


class MethodComparison(Section):
    """On which facts and neurons attribution methods are compared with exact ablation."""

    max_facts: Count | None
    """Known facts per relation and language; `null` takes all."""
    top: Count
    """Best neurons of each method that are ablated one by one; the recall is that of as many."""
    per_layer: Annotated[int, Field(ge=0)]
    """Further neurons of each layer, drawn at random, that are ablated one by one."""
    mean_prompts: Count
    """Right prompts of each other relation over which a neuron's mean is taken."""
    input_steps: Count
    """Inputs between the hidden query and the real one at which EAP-IG takes its gradient."""
    largest: Count
    """Largest set that is kept or taken away; smaller ones are the powers of two below it."""
