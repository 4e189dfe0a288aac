"""What every language's relation neurons do to every language's held-out facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.language_work import LanguageWork, asked_relations
from neuron_atlas.arms.measuring_arms import ALONE, ArmMeasurements, PlannedArms
from neuron_atlas.arms.settings import Interference
from neuron_atlas.arms.tested_prompts import prompts_of_relations
from neuron_atlas.interventions.relation_arms import specific_arms, transfer_arms, with_zero
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.language_sets import LanguageSets
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
        sources: Languages in which the neurons were found, and `pooled`.
        recall: The target language's recall table.
        work: The target's recorded values, and how the measurements are resumed and found again;
            the key says what they depend on.
        specific: Language-specific neurons, with which the sources' sets are compared; None to
            compare them with random neurons and with other relations'. These are measured apart,
            because one more language changes the specific neurons of all.
    """

    sources: tuple[str, ...]
    recall: Path
    work: LanguageWork
    specific: LanguageSets | None = None

    @property
    def measured(self) -> list[str]:
        """The sources that have what is compared: language-specific neurons are hidden units."""
        if self.specific is None:
            return list(self.sources)
        hidden = self.work.values.meta["site"] == "hidden"
        return [name for name in self.sources if hidden and name in self.specific]


def measure_pairs(
    lm: LanguageModel,
    pairs: Sequence[Pairs],
    found: Mapping[str, RelationSets],
    how: Interference,
    *,
    seed: int,
    tolerance: float,
) -> pd.DataFrame:
    """Ask each target's held-out facts with each source's neurons switched off.

    What an earlier run measured is not measured again; see `checkpoints.remembered`.

    Args:
        lm: The model.
        pairs: What to measure.
        found: The sets of each source.
        how: As in `interference`.
        seed: Of the draws and of the choice of facts.
        tolerance: As in `log_probability.ask`.

    Returns:
        The rows of `ArmMeasurements.measure`, with `language`, that of the facts.
    """
    tables = [
        checkpoints.remembered(
            one.work.key,
            partial(_measured, lm, one, found, how, seed=seed, tolerance=tolerance),
            write=store.write_table,
            read=store.read_table,
        ).assign(language=one.work.language)
        for one in pairs
    ]
    return pd.concat(tables, ignore_index=True)


def _measured(
    lm: LanguageModel,
    one: Pairs,
    found: Mapping[str, RelationSets],
    how: Interference,
    *,
    seed: int,
    tolerance: float,
) -> pd.DataFrame:
    sources = {name: found[name] for name in one.measured}
    relations = sorted({relation for sets in sources.values() for relation in sets.sets})
    asked = asked_relations(lm, how, one.work, relations, names=("transfer",), seed=seed)
    plans = {name: partial(_planned, its, sources, one, how) for name, its in asked.items()}
    recalled = store.read_table(one.recall)
    prompts = prompts_of_relations(recalled, list(asked), how, seed=seed)
    prompts = prompts[(prompts["context"] == ALONE) & ~prompts["seen"]]
    site = one.work.values.meta["site"]
    measured = ArmMeasurements(lm, site, how.everywhere, tolerance, plans)
    return checkpoints.in_parts(prompts, measured.measure, key=one.work.key, size=measured.group)


def _planned(
    asked: Asked, sources: Mapping[str, RelationSets], one: Pairs, how: Interference
) -> PlannedArms:
    if one.specific is None:
        return PlannedArms(asked, transfer_arms(asked, sources, how))
    asked = with_zero(asked)
    return PlannedArms(asked, specific_arms(asked, sources, one.specific))
