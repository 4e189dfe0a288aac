"""Fetch the model as safetensors, with its provenance."""

from pathlib import Path

from neuron_atlas.model import weights
from neuron_atlas.model.settings import ModelChoice, chosen
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load

Params = ModelChoice


def main(out: Path, /) -> None:
    """Write the folder `out`."""
    params = load("model", Params)
    weights.fetch(chosen(params), out, sha256=params.sha256, dtype=params.dtype)


if __name__ == "__main__":
    run(main)
