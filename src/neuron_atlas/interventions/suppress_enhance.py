"""Suppress and enhance sets of neurons, and measure how answers change."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from neuron_atlas.interventions import neuron_sets
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import Answers
from neuron_atlas.scoring.prompt_choice import KEY
from neuron_atlas.scoring.trees import query

OPERATIONS = ("suppress", "enhance")
SCALES = (0.0, 2.0)  # of the neuron's own value, after the activation function, whatever its sign


TYPES = {
    **dict.fromkeys(("fact", "relation", "method", "where", "language", "measured"), "str"),
    **{"draw": "int64", "k": "int64", "template": "int64", "operation": "str"},
    **dict.fromkeys(("before", "effect", "audited_error"), "float32"),
}


def no_rows() -> pd.DataFrame:
    """Return what `measure_operations` does of no prompt."""
    return store.no_rows(TYPES)


def both_operations(
    lm: LanguageModel, sets: Sequence[NeuronSet], *, tolerance: float = 0.0
) -> Intervention:
    """Prepare two arms per set, set i suppressed as arm 2 i and enhanced as arm 2 i + 1.

    These are the operations of Chen et al. 2024 (arXiv 2308.13198, section 4.2). The neuron is the
    hidden unit, act(gate) * up: doubled, it doubles what it writes. (Their code doubles the value
    before the activation function, which shrinks a negative unit's share.)
    """
    value = torch.zeros(len(OPERATIONS), lm.n_layers, lm.n_neurons)
    chosen = [s.neurons for s in sets for _ in OPERATIONS]
    kinds = list(range(len(OPERATIONS))) * len(sets)
    edits = ablation.edits_of(chosen, value, kinds, scale=SCALES)
    return Intervention(lm, edits, tolerance=tolerance)


def measure_operations(
    intervention: Intervention,
    sets: Sequence[NeuronSet],
    prompts: pd.DataFrame,
    asked: pd.DataFrame,
    tokens: CandidateTokens,
) -> pd.DataFrame:
    """Measure, under both operations, the sets of every fact that is to be measured on a prompt.

    All sets measured on one prompt share one forward pass over it.

    Args:
        intervention: As `both_operations` returns it.
        sets: The sets that it was prepared with.
        prompts: Rows of the recall table with `language`, and `fact` renamed `measured`.
        asked: Whose sets are measured where: `fact`, `where`, and the prompt's `KEY`.
        tokens: The tokenised answers.

    Returns:
        One row per (set, operation, prompt): `before`, the log-probability of the right answer that
        was most probable, `effect`, its change (nats; negative is harm), and `audited_error`, the
        error of its normalisers, nats, NaN where none was audited.
    """
    rows = store.records(prompts)
    wanted = dict(list(asked.groupby(KEY)))
    asks = [wanted[r["language"], r["measured"], r["template"]] for r in rows]
    chosen = [sets_of_facts(sets, list(part["fact"])) for part in asks]
    queries = [
        query(intervention.lm, r["prompt"], [tokens.candidate(r, asked_for(r))]) for r in rows
    ]
    found = intervention.ask_beside_clean(queries, [_arms(some) for some in chosen])
    info = neuron_sets.describe(sets)
    tables = [
        _table(info.iloc[some], part, answers)
        for some, part, answers in zip(chosen, asks, found, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def sets_of_facts(sets: Sequence[NeuronSet], facts: Sequence[str]) -> list[int]:
    """Return the indices of the sets that were found for `facts`, fact by fact."""
    return [i for fact in facts for i, s in enumerate(sets) if s.fact == fact]


def _arms(sets: Sequence[int]) -> list[int]:
    return [len(OPERATIONS) * i + o for i in sets for o in range(len(OPERATIONS))]


def _table(sets: pd.DataFrame, asked: pd.DataFrame, found: Answers) -> pd.DataFrame:
    """Return one prompt's rows; `found` begins with the unedited model."""
    values = found.values[:, 0]
    table = sets.merge(asked, on="fact", how="left", validate="many_to_one")
    both = table.loc[table.index.repeat(len(OPERATIONS))].reset_index(drop=True)
    return both.assign(
        operation=list(OPERATIONS) * len(table),
        before=np.float32(values[0]),
        effect=(values[1:] - values[0]).astype(np.float32),
        audited_error=found.error[1:].astype(np.float32),
    )
