"""Suppress and enhance the neurons that each method selects for one language's facts."""

from pathlib import Path

from neuron_atlas.interventions import neuron_sets, selection
from neuron_atlas.interventions.settings import Selection
from neuron_atlas.model import language_model
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.settings import Scoring

Params = Selection


def main(
    model_folder: Path, recall_file: Path, scores: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row per (fact, set, operation, prompt): the change of the answer."""
    params, seed = load("selection", Params), load_seed()
    scoring = load("scoring", Scoring)
    stored = knowledge_sets.read_scores(scores)
    prompts = prompt_choice.attributed_prompts(
        store.read_table(recall_file), stored, language=language
    )
    found = neuron_sets.compared(
        prompt_choice.other_paraphrases(stored, prompts),
        relation_sets.read_sets(sets),
        params,
        seed=seed,
    )
    inputs = [Path(__file__), model_folder, recall_file]
    inputs += [path for folder in (scores, sets) for path in sorted(folder.iterdir())]
    key = checkpoints.key(
        f"selection {language}",
        inputs,
        {**params.model_dump(), **scoring.model_dump(), "seed": seed},
    )
    lm = language_model.load(model_folder)
    measured = selection.run(
        lm, found, prompts, params, seed=seed, tolerance=scoring.tolerance, key=key
    )
    store.write_table(out, measured)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
