"""Select relation neurons in other ways than average precision, and put them to the same tests."""

from pathlib import Path

import pandas as pd

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.settings import Interference
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.other_selectors import measuring, sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.scoring.settings import Scoring


def main(
    model_folder: Path,
    recall_file: Path,
    values: Path,
    found: Path,
    out: Path,
    out_sets: Path,
    /,
    *,
    language: str,
) -> None:
    """Write one row per (prompt, arm), and one per neuron of each selector's sets."""
    params, scoring, seed = (
        load("interference", Interference),
        load("scoring", Scoring),
        load_seed(),
    )
    inputs = [Path(__file__), model_folder, recall_file, values, *sorted(found.iterdir())]
    settings = {**params.model_dump(), **scoring.model_dump(), "seed": seed}
    key = checkpoints.key(f"other_selectors {language}", inputs, settings)
    recalled = store.read_table(recall_file)
    apart = relation_sets.read_sets(found, file=relation_sets.NO_SIBLINGS).sets
    tested = measuring.SelectorMeasurements(
        lm=language_model.load(model_folder),
        recalled=recalled,
        found=relation_sets.read_sets(found),
        selected={
            **relation_sets.read_selectors(found),
            relation_sets.WITHOUT_SIBLINGS: apart,
        },
        how=params,
        work=LanguageWork(language, Recorded(values, recalled), key),
        seed=seed,
        tolerance=scoring.tolerance,
    ).with_selected_by_model()
    store.write_table(out_sets, sets.as_table(tested.selected, tested.found))
    rows = [tested.necessity(), tested.sufficiency()]
    store.write_table(out, pd.concat(rows, ignore_index=True))
    for part in measuring.PARTS:
        checkpoints.done(measuring.part_key(key, part))


if __name__ == "__main__":
    run(main)
