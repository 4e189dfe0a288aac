"""Switch one language's relation neurons and their controls off, and ask its held-out facts."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.activations import files
from neuron_atlas.interventions import arms, interference
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens

Share = Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """How relation neurons are switched off."""

    value: interference.Value
    """What neurons are set to: `zero`, their `mean`, or `other_mean`, that over the other
    relations."""
    positions: Literal["answer", "all"]
    """Where they are set: at the `answer` position or at `all`."""
    max_facts: Annotated[int, Field(ge=2)]
    """Held-out facts that the model answers right, per relation and language."""
    n_draws: Annotated[int, Field(ge=2)]
    """Matched random sets of each relation's set."""
    n_dose_draws: Annotated[int, Field(ge=2)]
    """Random orders, and matched random sets, of each dose."""
    doses: Annotated[list[Share], Field(min_length=1)]
    """Shares of a set that are switched off."""
    seed: int
    """Of the draws and of the choice of facts."""


def main(
    model_folder: Path, recall_file: Path, values: Path, sets: Path, out: Path, /, *, language: str
) -> None:
    """Write one row a (fact, arm): the change of the answer's log-probability."""
    params = load("interference", Params)
    controls = arms.Controls(params.n_draws, params.n_dose_draws, tuple(params.doses))
    found = relation_sets.read_sets(sets)
    plan = arms.interference_arms(language, found, controls=controls, seed=params.seed)
    recalled = store.read_table(recall_file)
    facts = prompt_choice.held_out(recalled, max_facts=params.max_facts, seed=params.seed)
    value = interference.replacement(values, sorted(found.sets), params.value)
    lm = language_model.load(model_folder)
    site, everywhere = files.read_meta(values)["site"], params.positions == "all"
    setup = interference.experiment(lm, plan, value, site=site, everywhere=everywhere)
    inputs = [Path(__file__), model_folder, recall_file, values, *sorted(sets.iterdir())]
    key = checkpoints.key(f"interference {language}", inputs, params.model_dump())
    tokens = CandidateTokens(lm)
    effects = checkpoints.in_parts(
        facts, lambda part: interference.measure(setup, part, tokens), key=key, size=8
    )
    store.write_table(out, effects)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
