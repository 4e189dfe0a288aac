"""Check every parameter, alone and against the others, before anything else runs."""

from pathlib import Path

from neuron_atlas.checks import mark, parameters
from neuron_atlas.pipeline.command import run


def main(out: Path, /) -> None:
    """Write a constant, so that a changed parameter alone re-runs no other stage."""
    parameters.check()
    mark.write(out)


if __name__ == "__main__":
    run(main)
