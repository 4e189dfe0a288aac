"""The section `knowledge` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Section


class Negligible(Section):
    """What is too small to matter: less than what `verdicts/interest.py` would want to find."""

    nats: Annotated[float, Field(gt=0, lt=0.5)]
    """Largest change of log-probability that does not matter, nats."""
    neurons: Annotated[float, Field(gt=0, lt=2)]
    """Largest difference in neurons per fact that does not matter."""
    rate: Annotated[float, Field(gt=0, lt=0.005)]
    """Largest difference in the share of pairs that does not matter."""
    auroc: Annotated[float, Field(gt=0, lt=0.05)]
    """Largest difference in the area under the curve that does not matter."""
    nats_per_token: Annotated[float, Field(gt=0, lt=0.1)]
    """Largest change of the log-probability of text that does not matter, nats per token; 0.01 is
    a hundredth of its perplexity."""


class Conclusions(Section):
    """When a difference counts, and how uncertain it is."""

    negligible: Negligible
    n_resamples: Annotated[int, Field(ge=100)]
    """Samples of the bootstrap over facts."""
