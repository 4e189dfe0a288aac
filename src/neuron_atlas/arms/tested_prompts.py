"""Which prompts test neurons: held-out facts, known or not, in the template that selected none."""

import numpy as np
import pandas as pd

from neuron_atlas.arms.settings import Interference
from neuron_atlas.facts import roles
from neuron_atlas.pipeline.streams import stream


def all_conditions(alone: pd.DataFrame, demonstrated: pd.DataFrame) -> pd.DataFrame:
    """Return one recall table of both conditions; a fact is known if it is without demonstrations.

    Args:
        alone: The recall table.
        demonstrated: The same of prompts after demonstrations; it may be empty.
    """
    known = alone.drop_duplicates("fact").set_index("fact")["known"]
    return pd.concat(
        [alone, demonstrated.assign(known=demonstrated["fact"].map(known).astype(bool))],
        ignore_index=True,
    )


def tested_prompts(
    recalled: pd.DataFrame, *, max_facts: int, max_seen: int, seed: int
) -> pd.DataFrame:
    """Choose the prompts of one condition that are asked under interventions.

    Args:
        recalled: A recall table.
        max_facts: Facts per relation whose subject and answers are held out.
        max_seen: Facts per relation whose subject is held out and whose answers are not.
        seed: Of the choice, which is the same in every language and condition.

    Returns:
        Rows of `recalled`, by relation, with `seen`: whether facts that selected neurons may have
        the same answer.
    """
    testing = recalled[roles.testing_templates(recalled)]
    parts = [
        _first(testing[roles.tests(testing)], max_facts, seed).assign(seen=False),
        _first(testing[roles.seen(testing)], max_seen, seed).assign(seen=True),
    ]
    chosen = pd.concat(parts, ignore_index=True)
    return chosen.sort_values(
        ["relation", "seen", "context", "fact"], kind="stable", ignore_index=True
    )


def _first(rows: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Keep `n` facts per relation: the first in an order that no other fact changes."""
    facts = rows.drop_duplicates("fact")
    number = {f: stream(seed, "tested", f).random() for f in facts["fact"]}
    place = facts.assign(number=facts["fact"].map(number)).sort_values("number")
    kept = place.groupby("relation").head(n)["fact"]
    return rows[rows["fact"].isin(np.asarray(kept))]


def prompts_of_relations(
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
