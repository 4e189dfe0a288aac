"""Find the neurons that respond to each relation, in each language and over all of them."""

from pathlib import Path

from neuron_atlas.pipeline import params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.relation_neurons import build

Params = build.SetPlan


def main(activations: Path, out: Path, /) -> None:
    """Write `sets.parquet`, `summary.json` and the activation sizes that controls match."""
    plan = params.load("relation_neurons", Params)
    build.build(store.by_language(activations, params.load_languages()), out, plan)


if __name__ == "__main__":
    run(main)
