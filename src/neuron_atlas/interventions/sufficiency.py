"""Install a relation's neurons while another relation is asked: do type and answer follow?

The relation's neurons are set to their means over its own prompts, on a prompt that asks another
relation about a subject of which the first one's answer is known. If they carry the relation, the
answer's type, and the right answer of that type, become more probable than with controls of equal
push.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
import torch

from neuron_atlas.arms.arm import Arm, Scaled
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.measuring_arms import ALONE, ArmMeasurements, PlannedArms
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.arms.replacements import relation_means, selecting_values
from neuron_atlas.arms.settings import Interference
from neuron_atlas.arms.tested_prompts import tested_prompts
from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.pipeline.streams import Name, stream


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
    """Install each relation's neurons on other relations' questions about its held-out subjects.

    Args:
        lm: The model.
        recalled: The language's recall table.
        found: The language's sets.
        how: How many facts and controls.
        work: The language's recorded values, and how the measurements are resumed.
        seed: Of the draws and of the choice of facts.
        tolerance: As in `log_probability.ask`.

    Returns:
        The rows of `ArmMeasurements.measure`: `relation` is installed and its answers are followed,
        `measured` is asked. Kinds: `install`, and of equal push `install_matched` (random neurons
        set to their own means), `install_direction` and `install_other` (the neurons of the
        relation in `order`).
        A relation whose subjects have no other relation is missing.
    """
    prompts = crossed_prompts(recalled, how, relations=list(found.sets), seed=seed)
    asked = installed_relations(lm, work, prompts, names=("sufficiency",), seed=seed)
    plans = {r: partial(_planned, one, work.language, found, how) for r, one in asked.items()}
    site = work.values.meta["site"]
    measured = ArmMeasurements(lm, site, how.everywhere, tolerance, plans)
    usable = prompts[prompts["relation"].isin(plans)]
    return checkpoints.in_parts(usable, measured.measure, key=work.key, size=measured.group)


def installed_relations(
    lm: LanguageModel,
    work: LanguageWork,
    prompts: pd.DataFrame,
    *,
    names: tuple[Name, ...],
    seed: int,
) -> dict[str, Asked]:
    """Return what controls need to know of each relation that can be installed.

    Strengths are matched on the identification prompts of the relations that are asked; neurons are
    set to their means over the installed relation's own prompts.

    Args:
        lm: The model.
        work: The language's recorded values.
        prompts: From `crossed_prompts`.
        names: What tells the draws from those of other measurements.
        seed: Of the draws.
    """
    means = relation_means(work.values)
    # Each relation is installed in all others, so that each needs the values of all others.
    values = selecting_values(work.values, sorted(set(prompts["measured"])), in_all=True)
    writing = Writing(lm, work.values.meta["site"])
    found = {}
    for name, rows in prompts.groupby("relation"):
        relation = str(name)
        there = [values[one] for one in sorted(set(rows["measured"])) if one in values]
        if there and relation in means:
            clean = CleanValues(writing, torch.cat(there))
            found[relation] = Asked(relation, clean, means, (*names, work.language, relation), seed)
    return found


def crossed_prompts(
    recalled: pd.DataFrame, how: Interference, *, relations: list[str], seed: int
) -> pd.DataFrame:
    """Return held-out facts of each relation with prompts that ask another one of their subjects.

    Returns:
        Rows of the facts, but `prompt` and `measured` are those of another relation's fact of the
        same subject, drawn for each; facts whose subject has no other relation are left out.
    """
    used = recalled[(recalled["context"] == ALONE) & recalled["relation"].isin(relations)]
    facts = tested_prompts(used, max_facts=how.max_facts, max_seen=0, seed=seed)
    testing = used[roles.testing_templates(used)]
    asked = testing.groupby("subject", sort=False)
    rows = [_crossed(row, asked.get_group(row["subject"]), seed) for _, row in facts.iterrows()]
    kept = [row for row in rows if row is not None]
    return pd.DataFrame(kept, columns=[*facts.columns, "measured"]).reset_index(drop=True)


def _crossed(fact: pd.Series, asked: pd.DataFrame, seed: int) -> pd.Series | None:
    others = asked[asked["relation"] != fact["relation"]].sort_values("relation")
    if others.empty:
        return None
    place = stream(seed, "sufficiency", "asked", fact["fact"]).integers(len(others))
    row, asks = fact.copy(), others.iloc[int(place)]
    row["prompt"], row["separator"] = asks["prompt"], asks["separator"]
    row["measured"] = asks["relation"]
    return row


def _planned(asked: Asked, language: str, found: RelationSets, how: Interference) -> PlannedArms:
    own = Arm("install", language, asked.relation, found.sets[asked.relation], asked.relation)
    planned = [Scaled(own)]
    planned += asked.push_matched(own, found, kind="install_matched", n_draws=how.n_draws)
    if asked.takes_directions:
        planned += asked.directions(own, kind="install_direction", n_draws=how.n_across_draws)
    planned += _others(own, asked, found, how)
    return PlannedArms(asked, planned)


def _others(own: Arm, asked: Asked, found: RelationSets, how: Interference) -> Iterator[Scaled]:
    """Install other relations' sets with their own means and the push of the set."""
    for relation in asked.drawn(
        own.source, sorted(set(found.sets) & set(asked.tables)), how.n_others
    ):
        arm = replace(own, kind="install_other", order=relation, table=relation)
        yield Scaled(replace(arm, neurons=found.sets[relation]), (own,))
