"""Suppress and enhance the neurons that each way of selecting gives for one language's facts."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.interventions import neuron_sets, selection
from neuron_atlas.model import language_model
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load
from neuron_atlas.scoring import prompt_choice

Count = Annotated[int, Field(ge=1)]


class Params(Section):
    """Which neurons are compared, and on which prompts."""

    tau: Annotated[float, Field(ge=0, lt=1)]
    """Share of the prompt's largest attribution that a knowledge neuron exceeds."""
    share: Annotated[float, Field(gt=0, le=1)]
    """Share of the paraphrases in which it has to."""
    max_neurons: Count
    """Neurons of a fact's set; every method gets as many."""
    n_unrelated: Count
    """Prompts of other relations beside each fact."""
    n_draws: Annotated[int, Field(ge=2)]
    """Matched random sets of each fact's set."""
    seed: int
    """Of draws and prompts."""


def main(
    model_folder: Path, recall_file: Path, scores: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row a (fact, set, operation, prompt): the change of the answer."""
    params = load("selection", Params)
    stored = knowledge_sets.read_scores(scores)
    prompts = prompt_choice.attributed_prompts(
        store.read_table(recall_file), stored, language=language
    )
    found = neuron_sets.compared(
        prompt_choice.others(stored, prompts),
        relation_sets.read_sets(sets),
        sizes=neuron_sets.Sizes(params.tau, params.share, params.max_neurons),
        n_draws=params.n_draws,
        seed=params.seed,
    )
    inputs = [Path(__file__), model_folder, recall_file]
    inputs += [path for folder in (scores, sets) for path in sorted(folder.iterdir())]
    key = checkpoints.key(f"selection {language}", inputs, params.model_dump())
    effects = selection.run(
        language_model.load(model_folder),
        found,
        prompts,
        n_unrelated=params.n_unrelated,
        seed=params.seed,
        key=key,
    )
    store.write_table(out, effects)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
