"""Change facts in every language through neurons found in a few, and measure the effects."""

from pathlib import Path

from neuron_atlas.editing import experiment
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed
from neuron_atlas.scoring.settings import Scoring

Params = EditingPlan


def main(model_folder: Path, recall: Path, scores: Path, relations: Path, out: Path, /) -> None:
    """Write the effects of suppressing, enhancing and editing each arm's neurons."""
    params, languages = load("editing", Params), load_languages()
    scoring, seed = load("scoring", Scoring), load_seed()
    given = experiment.Inputs(
        recall=store.by_language(recall, languages, suffix=".parquet"),
        attributions=store.by_language(scores, languages),
        sizes={language: relations / language for language in languages},
    )
    inputs = [Path(__file__), model_folder, *given.recall.values()]
    for folder in (*given.attributions.values(), *given.sizes.values()):
        inputs += sorted(folder.iterdir())
    key = checkpoints.key(
        "editing", inputs, {**params.model_dump(), **scoring.model_dump(), "seed": seed}
    )
    lm = language_model.load(model_folder)
    experiment.run(lm, given, out, params, seed=seed, tolerance=scoring.tolerance, key=key)


if __name__ == "__main__":
    run(main)
