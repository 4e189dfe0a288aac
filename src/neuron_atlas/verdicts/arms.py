"""Contrasts of measured arms: a set's effect less that of its controls, item by item.

Tables have one row per fact prompt and arm, with the columns `kind`, `relation` (whose neurons),
`measured` (whose facts), `language`, `context`, `fact`, `seen`, `draw`, `k`, `order`, `push`,
`effect`, `effect_type`, `effect_given_type` (nats), `correct_before` and `correct_after`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from neuron_atlas.statistics.random_effects import MeanTest, over_relations, relation_means

ITEM = ("measured", "language", "fact")
ZERO_SHOT = "none"
MIN_RELATIONS = 3


@dataclass(frozen=True)
class Excess:
    """What an arm does beyond its control.

    Attributes:
        items: One row per item that both arms have: `item`, `measured`, `fact`, what else makes an
            item, and `excess`.
        arm: The arm's own mean over relations, in the value's unit.
        control: The control's.
    """

    items: pd.DataFrame
    arm: float
    control: float

    @property
    def n_relations(self) -> int:
        """Number of relations asked."""
        return int(self.items["measured"].nunique())

    def tested(self, *, n_tests: int = 1) -> MeanTest:
        """Test the mean over relations, as one of several at once; at least two are needed."""
        return over_relations(
            self.items["excess"].to_numpy(np.float64),
            self.items["fact"].to_numpy(),
            self.items["measured"].to_numpy(),
            n_tests=n_tests,
        )


def held_out(table: pd.DataFrame, *, right: bool) -> pd.DataFrame:
    """Return the zero-shot rows whose answers selected no neurons, with their `item` numbered.

    An item is a fact in one language.

    Args:
        table: Measured arms.
        right: Whether to keep only prompts that are answered right without intervention.
    """
    kept = table["context"].eq(ZERO_SHOT).to_numpy() & ~table["seen"].to_numpy(np.bool_)
    if right:
        kept &= table["correct_before"].to_numpy(np.bool_)
    rows = table if kept.all() else table.loc[kept]
    return numbered(rows)


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Number the items: facts in one language."""
    return rows.assign(item=_numbered([rows[name] for name in ITEM]))


def of_kind(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the rows of one kind of arm."""
    return rows[rows["kind"].eq(kind).to_numpy()]


def own(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that ask the relation whose neurons they change."""
    return rows[rows["relation"].eq(rows["measured"]).to_numpy()]


def at_push(found: Excess, scaled: pd.DataFrame, whole: pd.DataFrame) -> Excess:
    """Carry an excess that was measured at smaller pushes over to the push of whole sets.

    Effects are taken as proportional to pushes: each item's excess is divided by the mean push of
    the scaled arms over that of the whole ones. Arms of different pushes are compared at the
    smaller one, because a set that is driven beyond the values that its neurons take does something
    else.

    Args:
        found: Excess of the scaled arms over others of the same pushes.
        scaled: Rows of the scaled arms.
        whole: Rows of the same arms at their own push.
    """
    pushes = [rows.groupby("item")["push"].mean() for rows in (scaled, whole)]
    share = (pushes[0] / pushes[1]).reindex(found.items["item"]).to_numpy(np.float64)
    small = found.items["excess"].to_numpy(np.float64)
    large = np.divide(small, share, out=np.full(len(small), np.nan), where=share > 0)
    items = found.items.assign(excess=large)
    kept = items[np.isfinite(items["excess"].to_numpy())]
    known = share[np.isfinite(share) & (share > 0)]  # none where the whole sets push nothing
    mean = float(known.mean()) if len(known) else float("nan")
    return Excess(kept, found.arm / mean, found.control / mean)


def excess(
    arm: pd.DataFrame, control: pd.DataFrame, *, by: Sequence[str] = (), value: str = "effect"
) -> Excess:
    """Subtract the control's mean over draws from the arm's, on the items that both have.

    Args:
        arm: Rows of the arm, from `held_out`.
        control: Rows of its control, any number of draws per item.
        by: Columns that tell items of one fact and language apart, such as `relation`.
        value: Column to compare.
    """
    key = _numbered([pd.concat([arm[name], control[name]]) for name in ("item", *by)])
    number, first, member = np.unique(key, return_index=True, return_inverse=True)
    values = np.concatenate([arm[value].to_numpy(), control[value].to_numpy()]).astype(np.float64)
    in_arm = np.arange(len(key)) < len(arm)
    left, right = (_means(values, member, len(number), rows) for rows in (in_arm, ~in_arm))
    both = np.isfinite(left) & np.isfinite(right)
    items = arm[["item", *ITEM[::2], *by]].iloc[first[both]]  # the arm's rows come first
    difference = (left - right)[both]
    return Excess(
        items.assign(excess=difference), _mean(items, left[both]), _mean(items, right[both])
    )


def difference(first: Excess, second: Excess) -> Excess:
    """Return the first excess less the second, on the items that both have."""
    other = pd.Series(second.items["excess"].to_numpy(), index=second.items["item"])
    items = first.items[first.items["item"].isin(other.index)]
    left = items["excess"].to_numpy() - other.loc[items["item"]].to_numpy()
    return Excess(items.assign(excess=left), first.arm - first.control, second.arm - second.control)


def specificity(
    rows: pd.DataFrame, sets: pd.DataFrame, *, prefix: str, by: Sequence[str] = ()
) -> Excess:
    """Return sets' effects less those of other relations' sets of equal push, at the sets' push."""
    scaled = of_kind(rows, f"{prefix}own_scaled")
    found = excess(scaled, of_kind(rows, f"{prefix}other_set"), by=by)
    return at_push(found, scaled, sets)


def _means(
    values: Float[np.ndarray, " row"],
    member: Int[np.ndarray, " row"],
    n: int,
    rows: Bool[np.ndarray, " row"],
) -> Float[np.ndarray, " item"]:
    """Return each item's mean over the chosen rows, NaN where it has none."""
    count = np.bincount(member[rows], minlength=n)
    total = np.bincount(member[rows], weights=values[rows], minlength=n)
    return np.asarray(np.divide(total, count, out=np.full(n, np.nan), where=count > 0))


def _mean(items: pd.DataFrame, values: Float[np.ndarray, " item"]) -> float:
    """Return the mean over relations, as `over_relations` takes it; NaN of nothing."""
    if not len(values):
        return float("nan")
    means = relation_means(values, items["fact"].to_numpy(), items["measured"].to_numpy())
    return float(means.mean())


def _numbered(columns: Sequence[pd.Series]) -> Int[np.ndarray, " row"]:
    """Number the combinations of the columns' values."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code, labels = pd.factorize(column)
        number = number * len(labels) + code
    return np.asarray(number)
