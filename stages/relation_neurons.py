"""Find the neurons that respond to each relation, in each language and over all of them."""

from pathlib import Path

from neuron_atlas.pipeline import checkpoints, params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.relation_neurons import build
from neuron_atlas.relation_neurons.settings import SetPlan

Params = SetPlan


def main(activations: Path, out: Path, /) -> None:
    """Write `sets.parquet`, `summary.json` and the activation sizes that controls match."""
    plan = params.load("relation_neurons", Params)
    folders = store.by_language(activations, params.load_languages())
    keys = {}
    for language, folder in folders.items():
        inputs = [Path(__file__), *sorted(folder.iterdir())]  # with the values themselves
        keys[language] = checkpoints.key(f"relation_neurons {language}", inputs, plan.of_scores)
    build.build(folders, out, plan, keys=keys)
    checkpoints.keep_only("relation_neurons", list(keys.values()))


if __name__ == "__main__":
    run(main)
