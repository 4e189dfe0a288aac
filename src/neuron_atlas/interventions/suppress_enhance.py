"""Suppressing and enhancing sets of neurons, and what it does to answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from neuron_atlas.interventions import neuron_sets
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import Intervene, log_probabilities
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.prompt_choice import KEY
from neuron_atlas.scoring.trees import query

OPERATIONS = ("suppress", "enhance")
SCALES = (0.0, 2.0)  # of the neuron's own value, after the activation function, whatever its sign


@dataclass(frozen=True)
class Experiment:
    """A model, sets of neurons, and the arms: set i suppressed is arm 2 i, enhanced 2 i + 1."""

    lm: LanguageModel
    sets: Sequence[NeuronSet]
    intervene: Intervene

    def of(self, facts: Sequence[str]) -> list[int]:
        """Numbers of the sets that were found for `facts`, fact by fact."""
        return [i for fact in facts for i, s in enumerate(self.sets) if s.fact == fact]


def experiment(lm: LanguageModel, sets: Sequence[NeuronSet]) -> Experiment:
    """Prepare both operations of Chen et al. 2024 (arXiv 2308.13198, section 4.2).

    The neuron is the hidden unit, act(gate) * up: doubled, it doubles what it writes. (Their code
    doubles the value before the activation function, which shrinks a negative unit's share.)
    """
    value = torch.zeros(len(OPERATIONS), lm.n_layers, lm.n_neurons)
    chosen = [s.neurons for s in sets for _ in OPERATIONS]
    kinds = list(range(len(OPERATIONS))) * len(sets)
    edits = ablation.edits_of(chosen, value, kinds, scale=SCALES)
    return Experiment(lm, sets, ablation.intervention(lm, edits))


def measure(
    setup: Experiment, prompts: pd.DataFrame, asked: pd.DataFrame, tokens: CandidateTokens
) -> pd.DataFrame:
    """Measure the sets of every fact that asks for a prompt, under both operations.

    All that is asked of a prompt shares one reading of it.

    Args:
        setup: The model and the sets.
        prompts: Rows of the recall table with `language`, and `fact` renamed `measured`.
        asked: Whose sets are measured where: `fact`, `where`, and the prompt's `KEY`.
        tokens: The tokenised answers.

    Returns:
        A row a (set, operation, prompt): `before`, the log-probability of the right answer that
        was most probable, and `effect`, its change (nats; negative is harm).
    """
    rows = store.records(prompts)
    wanted = dict(list(asked.groupby(KEY)))
    asks = [wanted[r["language"], r["measured"], r["template"]] for r in rows]
    chosen = [setup.of(list(part["fact"])) for part in asks]
    arms = [[UNEDITED, *_arms(some)] for some in chosen]
    queries = [query(setup.lm, r["prompt"], [tokens.candidate(r, asked_for(r))]) for r in rows]
    found = log_probabilities(setup.lm, queries, arms=arms, intervene=setup.intervene, sequence=256)
    info = neuron_sets.describe(setup.sets)
    tables = [
        _table(info.iloc[some], part, values[:, 0])
        for some, part, values in zip(chosen, asks, found, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _arms(sets: Sequence[int]) -> list[int]:
    return [len(OPERATIONS) * i + o for i in sets for o in range(len(OPERATIONS))]


def _table(sets: pd.DataFrame, asked: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return one prompt's rows; `values` begins with the untouched answer."""
    table = sets.merge(asked, on="fact", how="left", validate="many_to_one")
    both = table.loc[table.index.repeat(len(OPERATIONS))].reset_index(drop=True)
    return both.assign(
        operation=list(OPERATIONS) * len(table),
        before=np.float32(values[0]),
        effect=(values[1:] - values[0]).astype(np.float32),
    )
