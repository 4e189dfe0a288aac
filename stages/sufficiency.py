"""Install one language's relation neurons while other relations are asked."""

from pathlib import Path

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.settings import Interference
from neuron_atlas.interventions.sufficiency import measure_language
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.scoring.settings import Scoring


def main(
    model_folder: Path, recall_file: Path, values: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row per (prompt, arm): the change of the installed relation's answer and type."""
    params, scoring = load("interference", Interference), load("scoring", Scoring)
    seed = load_seed()
    inputs = [Path(__file__), model_folder, recall_file, values, *sorted(sets.iterdir())]
    settings = {**params.model_dump(), **scoring.model_dump(), "seed": seed}
    key = checkpoints.key(f"sufficiency {language}", inputs, settings)
    recalled = store.read_table(recall_file)
    found = measure_language(
        language_model.load(model_folder),
        recalled,
        relation_sets.read_sets(sets),
        params,
        LanguageWork(language, Recorded(values, recalled), key),
        seed=seed,
        tolerance=scoring.tolerance,
    )
    store.write_table(out, found)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
