"""What switching neurons off does to every relation's held-out facts, beside its controls."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from neuron_atlas.arms import arm as listed
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.language_work import LanguageWork, asked_relations
from neuron_atlas.arms.measuring_arms import ALONE, PROMPT, ArmMeasurements, PlannedArms
from neuron_atlas.arms.settings import Interference
from neuron_atlas.arms.tested_prompts import prompts_of_relations
from neuron_atlas.arms.written_texts import TEXTS
from neuron_atlas.interventions.relation_arms import few_arms, interference_arms, written_arms
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints


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
    prompts = prompts_of_relations(recalled, list(asked), how, seed=seed)
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
