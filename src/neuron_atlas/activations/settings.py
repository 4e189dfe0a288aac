"""The section `activations` of params.yaml."""

from typing import Literal

from neuron_atlas.model.architectures import Site
from neuron_atlas.pipeline.params import Section

Pooling = Literal["answer", "mean", "subject"]


class Recording(Section):
    """Which values are recorded."""

    site: Site
    """Which values are neurons: `hidden`, or the raw projections `gate`, `up` or `down`."""
    pooling: Pooling
    """Where they are read: `answer` (the answer's position), `mean` (over the prompt) or `subject`
    (over the subject's tokens)."""
