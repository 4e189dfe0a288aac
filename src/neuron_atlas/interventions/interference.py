"""What switching neurons off does to every relation's held-out facts, beside its controls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from neuron_atlas.activations.files import Recorded
from neuron_atlas.interventions import arms as listed
from neuron_atlas.interventions.controls import Asked
from neuron_atlas.interventions.measuring_arms import ALONE, PROMPT, ArmMeasurements, PlannedArms
from neuron_atlas.interventions.push import CleanValues, Writing
from neuron_atlas.interventions.relation_arms import few_arms, interference_arms, written_arms
from neuron_atlas.interventions.replacements import off_values, selecting_values
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.interventions.tested_prompts import tested_prompts
from neuron_atlas.interventions.written_texts import TEXTS
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.pipeline.streams import Name


@dataclass(frozen=True)
class LanguageWork:
    """One language's recorded values, and how its measurements are resumed.

    Attributes:
        language: Its code.
        values: Its recorded values.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """

    language: str
    values: Recorded
    key: str


def measure_language(
    lm: LanguageModel,
    recalled: pd.DataFrame,
    found: RelationSets,
    how: Interference,
    work: LanguageWork,
    *,
    seed: int,
    tolerance: float,
) -> pd.DataFrame:
    """Ask one language's held-out facts with neurons off.

    Args:
        lm: The model.
        recalled: The language's recall table, of all conditions.
        found: The language's sets.
        how: What neurons are set to, where, on how many facts, with how many controls.
        work: The recorded values, and how the measurements are resumed.
        seed: Of the draws and of the choice of facts.
        tolerance: As in `log_probability.ask`.

    Returns:
        The rows of `ArmMeasurements.measure`, with `written_texts.TEXTS`: what the model writes by
        itself, of a set and some of its controls on unseen zero-shot questions; else NaN.
    """
    asked = asked_relations(lm, how, work, list(found.sets), names=("interference",), seed=seed)
    prompts = tested(recalled, list(asked), how, seed=seed)
    site = work.values.meta["site"]

    def measurements(plan: Callable[..., PlannedArms]) -> ArmMeasurements:
        plans = {r: partial(plan, one, work.language, found, how) for r, one in asked.items()}
        return ArmMeasurements(lm, site, how.everywhere, tolerance, plans)

    measured = measurements(_planned)
    table = checkpoints.in_parts(prompts, measured.measure, key=work.key, size=measured.group)
    alone = prompts[(prompts["context"] == ALONE) & ~prompts["seen"]]
    texts = measurements(_written).write(alone)
    keys = [*listed.COLUMNS, *PROMPT]
    return table.merge(texts, on=keys, how="left").astype(TEXTS)


def _planned(asked: Asked, language: str, found: RelationSets, how: Interference) -> PlannedArms:
    arms = interference_arms(asked, language, found, how)
    few = few_arms(arms, asked.relation, n_draws=how.n_across_draws)
    return PlannedArms(asked, arms, few)


def _written(asked: Asked, language: str, found: RelationSets, how: Interference) -> PlannedArms:
    return PlannedArms(asked, written_arms(asked, language, found, n_draws=how.n_dose_draws))


def tested(
    recalled: pd.DataFrame, relations: list[str], how: Interference, *, seed: int
) -> pd.DataFrame:
    """Return the prompts of some relations that are asked, each of its own relation."""
    prompts = tested_prompts(
        recalled[recalled["relation"].isin(relations)],
        max_facts=how.max_facts,
        max_seen=how.max_seen,
        seed=seed,
    )
    return prompts.assign(measured=prompts["relation"])


def asked_relations(
    lm: LanguageModel,
    how: Interference,
    work: LanguageWork,
    relations: list[str],
    *,
    names: tuple[Name, ...],
    seed: int,
) -> Mapping[str, Asked]:
    """Return what controls need to know of each relation that has a right identification prompt."""
    writing = Writing(lm, work.values.meta["site"])
    tables = off_values(work.values, how.value, seed=seed)
    return {
        relation: Asked(
            relation=relation,
            clean=CleanValues(writing, values),
            tables=tables,
            names=(*names, work.language, relation),
            seed=seed,
        )
        for relation, values in selecting_values(work.values, relations).items()
    }
