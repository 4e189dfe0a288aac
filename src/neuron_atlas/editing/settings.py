"""The section `editing` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Positive, Section


class Descent(Section):
    """How edits are fitted."""

    steps: Count
    """Steps of gradient descent."""
    rate: Positive
    """Largest length of one step, relative to the length of all edited vectors together."""
    margin: Positive
    """Nats by which the new answer's first token should exceed the old one's; a prompt where it
    does adds nothing to the loss."""
    max_norm: Positive
    """Largest change of each value vector, relative to its length."""


class EditingPlan(Section):
    """Which facts are edited through which neurons, and where the effect is measured."""

    n_sources: Annotated[int, Field(ge=2)]
    """Languages in which each fact's neurons are looked for; all others measure the edits too."""
    max_facts: Count
    """Facts per relation."""
    neurons: Annotated[int, Field(ge=2)]
    """Neurons per set, the same in every arm."""
    n_unrelated: Count
    """Prompts of other relations per fact."""
    n_draws: Count
    """Matched random sets per fact."""
    descent: Descent
