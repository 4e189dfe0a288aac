"""How edits are fitted: parts of the section `editing` of params.yaml."""

from neuron_atlas.pipeline.params import Count, Positive, Section


class Descent(Section):
    """How edits are fitted, those of the baselines too."""

    steps: Count
    """Steps of gradient descent."""
    rate: Positive
    """Largest length of one step, relative to the length of all edited vectors together; FT-L's
    relative to its bound, ROME's to the length of the value."""
    margin: Positive
    """Nats by which the new answer's first token should exceed the old one's; a prompt where it
    does adds nothing to the loss."""
    max_norm: Positive
    """Largest change of each value vector, relative to its length."""


class Baselines(Section):
    """Edits of one layer's whole down-projection, which the arms are compared with."""

    layers: Count
    """Layers that are tried on the development facts, spread evenly."""
    n_facts: Count
    """Development facts: known ones that are not edited. Without any, the middle layer is taken."""
    max_change: Positive
    """FT-L: largest change of one weight, relative to the root mean square of the layer's."""
    max_norm: Positive
    """ROME: largest change of the value, relative to the length of the value itself."""
    n_tokens: Count
    """ROME: tokens of the run's prompts from which the covariance of keys is estimated."""
    ridge: Positive
    """ROME: what is added to the covariance's diagonal, relative to its mean."""
