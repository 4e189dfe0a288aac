"""What every language's relation neurons do to every language's held-out facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from neuron_atlas.interventions.arms import transfer_arms
from neuron_atlas.interventions.interference import LanguageWork, measure_held_out
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import POOLED, RelationSets
from neuron_atlas.pipeline import checkpoints, store

TOGETHER = 6  # sources that share a prompt's pass: fewer are slower, but leave more to reuse


def source_groups(languages: Sequence[str], *, size: int = TOGETHER) -> list[tuple[str, ...]]:
    """Split the sources into groups that are measured together, the pooled sets in the last one.

    Sets that are measured together share passes over the prompts, and so the last digits of their
    effects. One more language at the end changes the last group alone, the pooled sets being
    others anyway: what was measured with the other groups is what it would be in a run from
    nothing.
    """
    n_full = len(languages) // size * size
    full = [tuple(languages[start : start + size]) for start in range(0, n_full, size)]
    return [*full, (*languages[n_full:], POOLED)]


@dataclass(frozen=True)
class Pairs:
    """One language whose facts are asked, and a group of sources whose neurons are switched off.

    Attributes:
        target: The language.
        sources: Languages in which the neurons were found, and `pooled`.
        recall: The target's recall table.
        work: The target's recorded values, and how the measurements are resumed and found again;
            the key says what they depend on.
    """

    target: str
    sources: tuple[str, ...]
    recall: Path
    work: LanguageWork


def measure_pairs(
    lm: LanguageModel,
    pairs: Sequence[Pairs],
    found: Mapping[str, RelationSets],
    how: Interference,
    *,
    tolerance: float,
) -> pd.DataFrame:
    """Ask each target's held-out facts with each source's neurons switched off.

    What an earlier run measured is not measured again; see `checkpoints.remembered`.

    Args:
        lm: The model.
        pairs: What to measure.
        found: The sets of each source.
        how: As in `interference`.
        tolerance: As in `log_probability.ask`.

    Returns:
        The rows of `interference.measure_arms`, with `language`, that of the facts.
    """

    def measured(one: Pairs) -> pd.DataFrame:
        arms = transfer_arms({source: found[source] for source in one.sources}, how)
        recalled = store.read_table(one.recall)
        return measure_held_out(lm, arms, recalled, how, one.work, tolerance=tolerance)

    tables = [
        checkpoints.remembered(
            one.work.key, partial(measured, one), write=store.write_table, read=store.read_table
        ).assign(language=one.target)
        for one in pairs
    ]
    return pd.concat(tables, ignore_index=True)
