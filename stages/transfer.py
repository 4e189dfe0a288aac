"""Switch every language's relation neurons off while every language's held-out facts are asked."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from neuron_atlas.activations import files
from neuron_atlas.interventions import arms, interference
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import checkpoints, params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens


class Params(Section):
    """How neurons of one language are switched off in another."""

    value: interference.Value
    """As `interference.value`."""
    positions: Literal["answer", "all"]
    """As `interference.positions`."""
    max_facts: Annotated[int, Field(ge=2)]
    """As `interference.max_facts`."""
    n_draws: Annotated[int, Field(ge=2)]
    """Matched random sets of each set."""
    seed: int
    """Of the draws and of the choice of facts."""


def main(model_folder: Path, recall: Path, values: Path, sets: Path, out: Path, /) -> None:
    """Write one row a (language, fact, arm)."""
    settings = params.load("transfer", Params)
    languages = params.load_languages()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    folders = store.by_language(values, languages)
    found = {source: relation_sets.read_sets(sets / source) for source in [*languages, POOLED]}
    plan = arms.transfer_arms(found, n_draws=settings.n_draws, seed=settings.seed)
    lm = language_model.load(model_folder)
    tokens, tables, keys = CandidateTokens(lm), [], []
    for language, file in recalls.items():
        facts = prompt_choice.held_out(
            store.read_table(file), max_facts=settings.max_facts, seed=settings.seed
        )
        value = interference.replacement(
            folders[language], sorted(found[POOLED].sets), settings.value
        )
        site, everywhere = (
            files.read_meta(folders[language])["site"],
            settings.positions == "all",
        )
        setup = interference.experiment(lm, plan, value, site=site, everywhere=everywhere)
        inputs = [Path(__file__), model_folder, file, folders[language]]
        inputs += sorted(sets.glob("*/*"))
        key = checkpoints.key(f"transfer {language}", inputs, settings.model_dump())
        measured = checkpoints.in_parts(
            facts, partial(interference.measure, setup, tokens=tokens), key=key, size=16
        )
        keys.append(key)
        tables.append(measured.assign(language=language))
    store.write_table(out, pd.concat(tables, ignore_index=True))
    for key in keys:
        checkpoints.done(key)


if __name__ == "__main__":
    run(main)
