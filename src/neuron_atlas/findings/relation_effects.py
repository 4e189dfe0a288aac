"""What each relation's neurons do, relation by relation: to itself beside every control, to others.

The verdicts are about relations as a whole; these tables say what was measured of one relation.
Questions are zero-shot ones about held-out facts whose answers selected no neurons.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from neuron_atlas.findings.effects import CONTROLS, MATCHED, PARTS, as_table
from neuron_atlas.statistics.random_effects import codes
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts.families import family

QUESTIONS = {"right": True, "all": False}  # whether only those that are answered right
OWN = [
    *("relation", "language", "questions", "control", "part"),
    *("effect", "random", "excess", "low", "high", "p_adjusted", "mde"),
    *("push", "push_random", "n_facts", "n_items"),
]
CELL = ["relation", "measured"]


def own_effects(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each relation's set does to its own answers beyond each control.

    Other relations' sets are compared at the smaller of the two pushes. A relation with too few
    facts for a test is left out.

    Args:
        table: Measured arms of all languages.

    Returns:
        One row per relation, language (null for all together), group of questions (`right` before,
        or `all`), control and part of the effect, which by language is the whole of it: the set's
        mean `effect` and the control's, `random`, over facts (nats), `excess` with an interval and
        p that hold for all relations together, the mean pushes of both, and the numbers of facts
        and items.
    """
    found = [
        _beyond(own, other, part).assign(**about, part=part)
        for about, own, other in _compared(table)
        for part in (PARTS if about["language"] is None else PARTS[:1])
    ]
    return pd.concat(found, ignore_index=True)[OWN] if found else pd.DataFrame(columns=OWN)


def _compared(
    table: pd.DataFrame,
) -> Iterator[tuple[dict[str, str | None], pd.DataFrame, pd.DataFrame]]:
    """Yield the rows of each comparison: of sets on their own relations, and of one control."""
    for questions, right in QUESTIONS.items():
        rows = arms.held_out(table, right=right)
        for language in (None, *sorted(rows["language"].unique())):
            some = rows if language is None else rows[rows["language"] == language]
            for control, compared in CONTROLS.items():
                about = {"language": language, "questions": questions, "control": control}
                own, other = _arms(some, control, compared)
                if len(own) and len(other):
                    yield about, own, other


def _arms(rows: pd.DataFrame, control: str, compared: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a set's rows and its control's, with the relation asked as `relation` of both.

    Other relations' sets count as draws: one set each.
    """
    if control != "other_set":
        rows = arms.own(rows)
        return arms.of_kind(rows, compared), arms.of_kind(rows, control)
    own, other = arms.of_kind(rows, compared), arms.of_kind(rows, control)
    drawn = other.assign(draw=codes(other["relation"].to_numpy()), relation=other["measured"])
    return own.assign(relation=own["measured"]), drawn


def _beyond(own: pd.DataFrame, other: pd.DataFrame, part: str) -> pd.DataFrame:
    """Test one family: each relation's own effect beyond a control's."""
    rows = pd.concat([own.assign(kind="set"), other.assign(kind=MATCHED)], ignore_index=True)
    rows = rows.assign(effect=rows[part])
    tested = as_table(family(rows), names=("relation", "measured"))
    about = _of_both(rows, ["effect", "push"])
    named = about.rename(columns={f"effect_{MATCHED}": "random", f"push_{MATCHED}": "push_random"})
    return tested.merge(
        named.rename(columns={"effect_set": "effect", "push_set": "push"}), on=CELL
    ).drop(columns="measured")


def cells_by_language(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean effect of each set on each relation, in every part and language, nats.

    Returns:
        One row per relation whose neurons are off, relation asked and language (null for all
        together): by part `<part>` of the set and `random_<part>` of random neurons of equal push,
        means over facts; the numbers of facts and items. Here no cell is left out.
    """
    rows = arms.held_out(table, right=False)
    rows = rows[rows["kind"].isin(["set", MATCHED])]
    names = {f"{part}_{MATCHED}": f"random_{part}" for part in PARTS}
    names |= {f"{part}_set": part for part in PARTS}
    found = [
        _of_both(some, list(PARTS)).assign(language=language)
        for language, some in [(None, rows), *rows.groupby("language")]
    ]
    columns = [*CELL, "language", *names.values(), "n_facts", "n_items"]
    return pd.concat(found, ignore_index=True).rename(columns=names)[columns]


def _of_both(rows: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Return each cell's means over facts, of the set and of its control, on items of both.

    Columns are `<value>_set` and `<value>_push_matched`, `n_facts` and `n_items`.
    """
    items = rows.groupby([*CELL, "fact", "item", "kind"], observed=True)[values].mean()
    both = items.unstack("kind").dropna().reset_index(["fact", "item"])
    both.columns = ["_".join(filter(None, name)) for name in both.columns]
    cells = both.groupby(CELL)
    means = both.drop(columns="item").groupby([*CELL, "fact"]).mean().groupby(CELL).mean()
    counts = cells.agg(n_facts=("fact", "nunique"), n_items=("item", "size"))
    return means.join(counts).astype(dict.fromkeys(means.columns, np.float64)).reset_index()
