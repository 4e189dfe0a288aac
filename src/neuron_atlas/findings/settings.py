"""The section `effects` of params.yaml."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Section


class Effects(Section):
    """How the effects of switching neurons off are judged."""

    negligible: Annotated[float, Field(gt=0, lt=0.08)]
    """Effects smaller than this do not matter, nats; below every effect of `verdicts/interest.py`,
    which one would want to find."""
