"""Find the neurons that respond to each relation, in each language and over all of them."""

from pathlib import Path

from neuron_atlas.activations.files import Recorded
from neuron_atlas.pipeline import checkpoints, params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.relation_neurons import build, casting, siblings
from neuron_atlas.relation_neurons.settings import SetPlan

Params = SetPlan


def main(facts: Path, activations: Path, out: Path, /) -> None:
    """Write `sets.parquet`, `summary.json` and the activation sizes that controls match."""
    plan, seed = params.load("relation_neurons", Params), params.load_seed()
    codes = params.load_languages()
    files = store.by_language(facts, codes, suffix=".parquet")
    tables = {code: store.read_table(path) for code, path in files.items()}
    values = {
        code: Recorded(folder, tables[code])
        for code, folder in store.by_language(activations, codes).items()
    }
    given = casting.languages(values, siblings.find(tables.values()), plan, seed=seed)
    keys = {}
    for language, one in given.items():
        inputs = [Path(__file__), files[language], *sorted(one.values.folder.iterdir())]
        settings = plan.of_scores | {"cast": one.cast, "seed": seed}
        keys[language] = checkpoints.key(f"relation_neurons {language}", inputs, settings)
    build.build(given, out, plan, seed=seed, keys=keys)
    checkpoints.keep_only("relation_neurons", list(keys.values()))


if __name__ == "__main__":
    run(main)
