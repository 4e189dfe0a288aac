"""Turn measured interventions into effects with intervals: contrasts, cells, doses, transfer.

Unless said otherwise they are of zero-shot questions about held-out facts whose answers selected no
neurons, known or not. Relations are random effects; see `statistics.random_effects`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.statistics.estimates import Estimate, area_under_curve
from neuron_atlas.statistics.random_effects import MeanTest, over_relations
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts.arms import Excess
from neuron_atlas.verdicts.families import Family, family

PARTS = ("effect", "effect_type", "effect_given_type", "effect_later")
CONTROLS = {  # control: the arm that it is a control of
    "size_matched": "set",
    "push_matched": "set",
    "direction": "set",
    "other_set": "own_scaled",
}
MATCHED = "push_matched"
ESTIMATE = tuple(f.name for f in fields(Estimate))


def contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """Return what sets do to their own relations beyond each control, in each part of the effect.

    Returns:
        One row per group of questions (`questions`: right or all unseen zero-shot answers, seen
        ones, those after demonstrations), control and part: `set` and `random` (both mean effects,
        nats), `excess` with interval and p, mean pushes of both, `n_relations` and `n_items`.
    """
    rows = []
    for name, some in _groups(table):
        for control, compared in CONTROLS.items():
            own = some if control == "other_set" else arms.own(some)
            left, right = arms.of_kind(own, compared), arms.of_kind(own, control)
            for part in PARTS:
                found = arms.excess(left, right, value=part)
                if found.n_relations >= 2:
                    about = {"questions": name, "control": control, "part": part}
                    pushes = {"push": left["push"].mean(), "push_random": right["push"].mean()}
                    rows.append({**about, **_row(found), **pushes})
    return pd.DataFrame(rows)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the questions that are reported apart, each with its items numbered."""
    alone = table["context"] == arms.ZERO_SHOT
    right, unseen = table["correct_before"], ~table["seen"]
    groups = {
        "right": alone & unseen & right,
        "all": alone & unseen,
        "seen": alone & ~unseen & right,
    }
    shown = sorted(set(table["context"]) - {arms.ZERO_SHOT})
    groups |= {name: (table["context"] == name) & unseen & right for name in shown}
    for name, mask in groups.items():
        if mask.any():
            yield name, arms.numbered(table[mask])


def _row(found: Excess) -> dict[str, Any]:
    tested = found.tested()
    return {
        "set": found.arm,
        "random": found.control,
        "excess": tested.effect.mean,
        "low": tested.effect.low,
        "high": tested.effect.high,
        "p_value": tested.p_value,
        "mde": tested.mde,
        "n_relations": found.n_relations,
        "n_items": len(found.items),
    }


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the effect of each relation's set on each relation asked, beyond push-matched sets.

    A relation's own cell and the cells of other relations are two families; intervals and
    `p_adjusted` hold for all cells of a family together. A cell of too few facts is left out.
    """
    rows = arms.held_out(table, right=False)
    within = rows["relation"] == rows["measured"]
    parts = [_cells(rows[mask]) for mask in (within, ~within)]
    return pd.concat(parts, ignore_index=True).sort_values(["relation", "measured"])


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Join one family's tests with the cells' means and flips."""
    tested = as_table(family(rows), names=("relation", "measured"))
    about = _means(rows, ["relation", "measured"], own="set", control=MATCHED)
    return tested.merge(about, on=["relation", "measured"])


def as_table(found: Family, *, names: tuple[str, str]) -> pd.DataFrame:
    """Return simultaneous results as a table, one row per cell."""
    rows = [
        (a, b, t.effect.mean, t.effect.low, t.effect.high, t.p_value, t.mde)
        for a, b, t in zip(found.relations, found.measured, found.tested, strict=True)
    ]
    columns = [*names, "excess", "low", "high", "p_adjusted", "mde"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], "float64"))


def _means(rows: pd.DataFrame, keys: list[str], *, own: str, control: str) -> pd.DataFrame:
    """Return each cell's means: effects, accuracies, flips of the sets and shares of the draws."""
    sets, random = arms.of_kind(rows, own), arms.of_kind(rows, control)
    before, after = sets["correct_before"], sets["correct_after"]
    sets = sets.assign(broken=before & ~after, mended=~before & after)
    groups = sets.groupby(keys)
    found = groups.agg(
        n_items=("fact", "size"),
        n_facts=("fact", "nunique"),
        effect=("effect", "mean"),
        push=("push", "mean"),
        accuracy_before=("correct_before", "mean"),
        accuracy_after=("correct_after", "mean"),
        n_broken=("broken", "sum"),
        n_mended=("mended", "sum"),
    )
    drawn = random.groupby(keys)
    controls = drawn.agg(random=("effect", "mean"), accuracy_random=("correct_after", "mean"))
    return found.join(controls).reset_index()


def transfer(table: pd.DataFrame) -> pd.DataFrame:
    """Return the effect of sets found in one language on the same relations in another, nats.

    Rows of the right unseen answers, beyond push-matched sets; `p_adjusted` and the intervals hold
    for all pairs of languages together. A pair with fewer than two relations is left out.
    """
    rows = arms.held_out(table, right=True)
    keys = ["source", "language"]
    pairs = {
        key: arms.excess(arms.of_kind(part, "transfer"), arms.of_kind(part, "transfer_matched"))
        for key, part in rows.groupby(keys)
    }
    usable = {key: found for key, found in pairs.items() if found.n_relations >= 2}
    tested = [
        (*key, *_simultaneous(found, n_tests=len(usable)), found.n_relations)
        for key, found in usable.items()
    ]
    columns = [*keys, "excess", "low", "high", "p_adjusted", "n_relations"]
    about = _means(rows, keys, own="transfer", control="transfer_matched")
    found = pd.DataFrame(tested, columns=columns).merge(about, on=keys)
    return found.rename(columns={"language": "target"})


def _simultaneous(found: Excess, *, n_tests: int) -> tuple[float, float, float, float]:
    tested = found.tested(n_tests=n_tests)
    return tested.effect.mean, tested.effect.low, tested.effect.high, tested.p_value


def by_language(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean effects of each cell and language, nats, without intervals."""
    rows = arms.held_out(table, right=False)
    return _means(rows, ["relation", "measured", "language"], own="set", control=MATCHED)


def dose_items(table: pd.DataFrame) -> pd.DataFrame:
    """Return each right item's effect at each dose of its own relation's set: mean over the draws.

    The last point of the curves in rank, reverse and random order is the whole set; that of the
    curve of push-matched sets is the whole of them.
    """
    within = arms.own(arms.held_out(table, right=True))
    whole, drawn = arms.of_kind(within, "set"), arms.of_kind(within, MATCHED)
    parts = [arms.of_kind(within, "dose"), drawn.assign(order=MATCHED)]
    parts += [whole.assign(order=order) for order in ("rank", "reverse", "random_order")]
    keys = ["order", "k", *arms.ITEM]
    return pd.concat(parts).groupby(keys)["effect"].mean().reset_index()


def doses(items: pd.DataFrame) -> pd.DataFrame:
    """Return the dose curves: mean effect on the sets' own relations, nats, with intervals.

    A point with fewer than two relations is left out.
    """
    rows = [
        {"order": order, "k": k, "share": k / items["k"].max(), **_estimate(part, "effect")}
        for (order, k), part in items.groupby(["order", "k"])
        if part["measured"].nunique() >= 2
    ]
    columns = ["order", "k", "share", *ESTIMATE]
    return pd.DataFrame(rows, columns=columns).rename(columns={"mean": "effect"})


def areas(items: pd.DataFrame) -> dict[str, Estimate]:
    """Return the area under each order's dose curve over the share of the set, nats.

    An order with fewer than two relations is left out.
    """
    found = {}
    for order, part in items.groupby("order"):
        curves = part.pivot_table(index=list(arms.ITEM), columns="k", values="effect").dropna()
        if curves.index.unique("measured").size < 2:
            continue
        area = area_under_curve(curves.columns.to_numpy(np.int64), curves.to_numpy(np.float64))
        found[str(order)] = _mean(curves.assign(area=area).reset_index(), "area").effect
    return found


def pushes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the effect on the own relation at multiples of the set's push, of set and control.

    A point with fewer than two relations is left out.
    """
    within = arms.own(arms.held_out(table, right=True))
    curves = arms.of_kind(within, "curve")
    n = curves.loc[curves["order"] == MATCHED, "draw"].nunique()
    drawn = arms.of_kind(within, MATCHED)
    parts = [curves, arms.of_kind(within, "set").assign(order="set")]
    parts.append(drawn[drawn["draw"] < n].assign(order=MATCHED))
    rows = [
        {"order": order, "alpha": alpha, "push": part["push"].mean(), **_estimate(part, "effect")}
        for (order, alpha), part in pd.concat(parts).groupby(["order", "alpha"])
        if part["measured"].nunique() >= 2
    ]
    columns = ["order", "alpha", "push", *ESTIMATE]
    found = pd.DataFrame(rows, columns=columns).rename(columns={"mean": "effect"})
    return found.assign(effect_per_push=found["effect"] / found["push"])


def means(rows: Mapping[str, pd.DataFrame]) -> dict[str, Estimate]:
    """Return the mean effect of each part of a table, nats, with relations as random effects."""
    return {
        name: _mean(part, "effect").effect
        for name, part in rows.items()
        if part["measured"].nunique() >= 2
    }


def _mean(rows: pd.DataFrame, value: str) -> MeanTest:
    return over_relations(
        rows[value].to_numpy(np.float64), rows["fact"].to_numpy(), rows["measured"].to_numpy()
    )


def _estimate(rows: pd.DataFrame, value: str) -> dict[str, float]:
    return _mean(rows, value).effect.as_dict()
