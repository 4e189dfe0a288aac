"""Change facts in every language through neurons found in a few, and measure the effects."""

from pathlib import Path

from neuron_atlas.editing import experiment
from neuron_atlas.editing.inputs import Experiment, Inputs
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model import language_model
from neuron_atlas.neurons.language_sets import SETS
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed
from neuron_atlas.scoring.settings import Scoring

Params = EditingPlan


def main(
    model_folder: Path,
    facts: Path,
    recall: Path,
    scores: Path,
    relations: Path,
    specific: Path,
    out: Path,
    /,
) -> None:
    """Write the effects of suppressing, enhancing and editing each arm's neurons."""
    params, languages = load("editing", Params), load_languages()
    rule = load("language_neurons", SharingRule)
    scoring, seed = load("scoring", Scoring), load_seed()
    given = Inputs(
        reports=store.by_language(facts, languages, suffix=".json"),
        recall=store.by_language(recall, languages, suffix=".parquet"),
        attributions=store.by_language(scores, languages),
        sizes={language: relations / language for language in languages},
        specific=specific,
    )
    inputs = [Path(__file__), model_folder, *given.reports.values(), *given.recall.values()]
    inputs += [specific / SETS]
    for folder in (*given.attributions.values(), *given.sizes.values()):
        inputs += sorted(folder.iterdir())
    sections = {"editing": params, "language_neurons": rule, "scoring": scoring}
    settings = {name: section.model_dump() for name, section in sections.items()} | {"seed": seed}
    key = checkpoints.key("editing", inputs, settings)
    lm = language_model.load(model_folder)
    one = Experiment(lm, params, rule, seed=seed, tolerance=scoring.tolerance, key=key)
    experiment.run(one, given, out)


if __name__ == "__main__":
    run(main)
