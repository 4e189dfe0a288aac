"""Suppress and enhance the neurons that each way of selecting gives for one language's facts."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas import (
    fact_prompts,
    found_sets,
    knowledge_arms,
    knowledge_neurons,
    model,
    selection_effects,
    store,
    work,
)
from neuron_atlas.command import run
from neuron_atlas.params import Section, load

Count = Annotated[int, Field(ge=1)]


class Params(Section):
    """`selection` section of params.yaml."""

    tau: Annotated[float, Field(ge=0, lt=1)]  # of the prompt's largest attribution
    share: Annotated[float, Field(gt=0, le=1)]  # of the paraphrases in which a neuron must pass
    max_neurons: Count  # of a set
    n_unrelated: Count  # prompts of other relations a fact
    n_draws: Annotated[int, Field(ge=2)]  # matched random sets of each fact's set
    seed: int


def main(
    model_folder: Path, recall_file: Path, scores: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row a (fact, set, operation, prompt): the change of the answer."""
    params = load("selection", Params)
    stored = knowledge_neurons.read(scores)
    prompts = fact_prompts.of(store.read_table(recall_file), stored, language=language)
    found = knowledge_arms.compared(
        fact_prompts.others(stored, prompts),
        found_sets.read_sets(sets),
        sizes=knowledge_arms.Sizes(params.tau, params.share, params.max_neurons),
        n_draws=params.n_draws,
        seed=params.seed,
    )
    inputs = [Path(__file__), model_folder, recall_file]
    inputs += [path for folder in (scores, sets) for path in sorted(folder.iterdir())]
    key = work.key(f"selection {language}", inputs, params.model_dump())
    effects = selection_effects.run(
        model.load(model_folder),
        found,
        prompts,
        n_unrelated=params.n_unrelated,
        seed=params.seed,
        key=key,
    )
    store.write_table(out, effects)
    work.done(key)


if __name__ == "__main__":
    run(main)
