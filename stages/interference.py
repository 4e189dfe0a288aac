"""Switch off one language's relation neurons and their controls, and ask its held-out facts."""

from pathlib import Path

from neuron_atlas.interventions import arms
from neuron_atlas.interventions.interference import LanguageWork, measure_held_out
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load
from neuron_atlas.scoring.settings import Scoring

Params = Interference


def main(
    model_folder: Path, recall_file: Path, values: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row per (fact, arm): the change of the answer's log-probability."""
    params = load("interference", Params)
    scoring = load("scoring", Scoring)
    plan = arms.interference_arms(language, relation_sets.read_sets(sets), params)
    inputs = [Path(__file__), model_folder, recall_file, values, *sorted(sets.iterdir())]
    key = checkpoints.key(
        f"interference {language}", inputs, {**params.model_dump(), **scoring.model_dump()}
    )
    lm, recalled = language_model.load(model_folder), store.read_table(recall_file)
    work = LanguageWork(values, key, size=8)
    store.write_table(
        out, measure_held_out(lm, plan, recalled, params, work, tolerance=scoring.tolerance)
    )
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
