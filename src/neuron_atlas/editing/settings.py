"""The section `editing` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Count, Positive, Section


class Descent(Section):
    """How an edit is looked for."""

    steps: Count
    """Steps of gradient descent."""
    rate: Positive
    """Length of a step at most, in lengths of all edited vectors together."""
    margin: Positive
    """Nats by which the new answer's first token is to exceed the old one's; where it does, a
    prompt pulls no more."""
    max_norm: Positive
    """Largest change of a value vector, in its own length."""


class EditingPlan(Section):
    """Which facts are edited through which neurons, and where it is measured."""

    n_sources: Annotated[int, Field(ge=2)]
    """Languages in which a fact's neurons are looked for; it is measured in all others too."""
    max_facts: Count
    """Facts per relation."""
    neurons: Annotated[int, Field(ge=2)]
    """Neurons of every arm's set."""
    n_unrelated: Count
    """Prompts of other relations beside each fact."""
    n_draws: Count
    """Matched random sets of each fact."""
    descent: Descent
    seed: int
    """Of new objects, unrelated prompts and random sets."""
