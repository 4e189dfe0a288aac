"""Degenerate pairs: the published rule, and what is left of its finds beside other pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.suppression import (
    AnswerDrops,
    FactPrompts,
    PromptSets,
    up_to_pairs,
)
from neuron_atlas.pipeline import checkpoints, store
from published.knowledge import contrasts
from published.knowledge.arms import HELD_OUT, OTHER, PUSH, RELATED, SET, SIZE
from published.knowledge.contrasts import Step
from published.knowledge.ground import Ground
from published.knowledge.plan import Plan
from published.knowledge.sets import AMIG, KeyOf

PART = 8  # families measured at a time
DRAWS = 1  # families of each control per fact, each of up to 190 pairs
STEPS = ("alone", SIZE, PUSH, OTHER, HELD_OUT, "log_odds", "opposite")
FAMILY = ["fact", "control", "draw", "where", "template", "members"]


def families(ground: Ground) -> pd.DataFrame:
    """Return the neurons that are combined: each fact's strongest, and those of its controls.

    Random neurons alike in layer and size, random neurons alike in layer and push, and the
    strongest of a fact of another relation. The fact's own and the last are asked in the held-out
    paraphrase, too.
    """
    held_out = dict(ground.asked.templates(ground.asked.held_out, ground.facts))
    rows: list[tuple[Any, ...]] = []
    for fact, chosen in ground.sets[AMIG].items():
        members = chosen[: ground.plan.pool]
        if len(members) < 2:
            continue
        template = ground.own_prompt[fact][1]
        for control, draw, neurons in _controls(ground, fact, members):
            rows.append((fact, control, draw, RELATED, template, neurons.tolist()))
            if control in (SET, OTHER) and fact in held_out:
                again = held_out[fact]
                rows.append((fact, control, draw, HELD_OUT, again, neurons.tolist()))
    return pd.DataFrame(rows, columns=FAMILY)


def _controls(
    ground: Ground, fact: str, members: np.ndarray
) -> Iterator[tuple[str, int, np.ndarray]]:
    yield SET, -1, members
    for control, strength in ((SIZE, ground.size), (PUSH, ground.strength(fact))):
        drawn = ground.matched(members, strength, "pairs", control, fact)[:DRAWS]
        yield from ((control, draw, neurons) for draw, neurons in enumerate(drawn))
    relations, sets = ground.asked.relations, ground.sets[AMIG]
    names = [f for f in sets if relations[f] != relations[fact] and len(sets[f]) > 1]
    order = ground.stream("pairs", OTHER, fact).permutation(len(names))
    for draw, i in enumerate(order[:DRAWS].tolist()):
        yield OTHER, draw, sets[names[i]][: len(members)]


def measure(ground: Ground, *, key: KeyOf) -> pd.DataFrame:
    """Suppress all neurons and pairs of all families.

    Returns:
        One row per pair: the family's columns but `members`, `a`, `b`, `drop_a`, `drop_b`, `drop`
        (nats of log-probability), `interaction` (nats of log-odds), `found` by the published rule.
    """
    rows = families(ground)
    prompts = FactPrompts(ground.lm, ground.asked.everything, tolerance=ground.plan.tolerance)

    def run(part: pd.DataFrame) -> pd.DataFrame:
        listed = store.records(part)
        wanted = [PromptSets(r["fact"], r["template"], up_to_pairs(r["members"])) for r in listed]
        tables = [
            pairs(one, ground.plan).assign(**{name: r[name] for name in FAMILY[:-1]})
            for r, one in zip(listed, prompts.suppress(wanted), strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    if rows.empty:
        return pd.DataFrame(columns=[*COLUMNS, *FAMILY[:-1]])
    name = f"pairs {ground.asked.language}"
    return checkpoints.in_parts(rows, run, key=key(name), size=PART)


COLUMNS = ["a", "b", "drop_a", "drop_b", "drop", "interaction", "found"]


def pairs(one: AnswerDrops, plan: Plan) -> pd.DataFrame:
    """Return every pair of a family, judged by equations 9 and 10 of Chen et al. 2024."""
    both = [s for s in one.drops if len(s) == 2]
    table = pd.DataFrame(
        [(a, b, one.drops[(a,)], one.drops[(b,)], one.drops[a, b]) for a, b in both],
        columns=COLUMNS[:5],
    )
    alone = table[["drop_a", "drop_b"]].to_numpy(np.float64)
    drop = table["drop"].to_numpy(np.float64)
    lost = degeneracy.log_odds(one.clean - np.column_stack([0 * drop, alone, drop]))
    return table.assign(
        interaction=lost[:, 1] + lost[:, 2] - lost[:, 0] - lost[:, 3],
        found=degeneracy.published(alone.max(1), drop, plan.rule),
    )


def figures(rows: pd.DataFrame, relations: Mapping[str, str], plan: Plan) -> dict[str, Any]:
    """Return how many pairs the published rule finds, and the rates beside those of controls.

    `additive`: of the pairs found, those that drop together by no more than the sum of their own
    drops and `negligible` nats. `neurons` are the members of the pairs found of each fact.
    """
    own = rows[(rows["control"] == SET) & (rows["where"] == RELATED)]
    found = own[own["found"].astype(bool)]
    more = found["drop"] - found["drop_a"] - found["drop_b"]
    return {
        "facts": int(own["fact"].nunique()),
        "facts_with_any": int(found["fact"].nunique()),
        "pairs": len(own),
        "found": len(found),
        "additive": int((more <= plan.negligible).sum()),
        "steps": contrasts.listed(steps(rows, relations, plan)),
    }


def members(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the neurons of each fact's pairs that the published rule finds."""
    found = rows[(rows["control"] == SET) & (rows["where"] == RELATED) & rows["found"].astype(bool)]
    return {
        str(fact): np.unique(some[["a", "b"]].to_numpy(np.int64))
        for fact, some in found.groupby("fact")
    }


def steps(rows: pd.DataFrame, relations: Mapping[str, str], plan: Plan) -> list[Step]:
    """Return the rate of pairs found without a control, then with one more at a time.

    Less that among random neurons alike in size, among random neurons alike in push, and among the
    strongest neurons of another relation's facts. Then, beside the last: found on the held-out
    paraphrase as well; found, and together worse than the sum in log-odds; and the rate of such
    interactions, found or not, less that of interactions as large of the other sign.
    """
    here = rows[rows["where"] == RELATED].copy()
    there = rows[rows["where"] == HELD_OUT]
    pair = ["fact", "control", "draw", "a", "b"]
    again = there[there["found"].astype(bool)].set_index(pair).index
    asked = pd.MultiIndex.from_frame(there[["fact", "control", "draw"]].drop_duplicates())
    small = here[["drop_a", "drop_b"]].max(axis=1) <= -np.log1p(-plan.low)
    rate = here["found"].astype(float)
    twice = rate * pd.MultiIndex.from_frame(here[pair]).isin(again)
    was_asked = pd.MultiIndex.from_frame(here[pair[:3]]).isin(asked)
    size = plan.negligible
    plus, minus = here["interaction"] > size, here["interaction"] < -size
    here = here.assign(
        rate=rate,
        twice=twice.where(was_asked),
        odds=rate * plus,
        signed=small * (plus.astype(float) - minus),
    )

    def of(value: str, control: str) -> pd.Series:
        return here[here["control"] == control].groupby("fact")[value].mean()

    values = {
        "alone": of("rate", SET),
        **{c: of("rate", SET) - of("rate", c) for c in (SIZE, PUSH, OTHER)},
        HELD_OUT: of("twice", SET) - of("twice", OTHER),
        "log_odds": of("odds", SET) - of("odds", OTHER),
        "opposite": of("signed", SET) - of("signed", OTHER),
    }
    return [contrasts.step(name, values[name], relations) for name in STEPS]
