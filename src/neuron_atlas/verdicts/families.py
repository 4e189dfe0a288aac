"""Cells of relation x relation, tested together: whose sets change whose answers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from neuron_atlas.statistics.max_t import Between, simultaneous
from neuron_atlas.statistics.random_effects import MeanTest, codes, group_means
from neuron_atlas.verdicts import arms

PAIR = ("relation", "measured")
MIN_FACTS = 4  # with fewer, the moderated variance is almost all borrowed


@dataclass(frozen=True)
class Family:
    """Simultaneous results of many cells.

    Attributes:
        relations: Whose neurons were switched off, by cell.
        measured: Whose facts were asked, by cell.
        tested: A cell's excess over push-matched draws, nats; intervals and p hold together.
        left_out: Cells of too few facts, or of a single draw where others have more.
    """

    relations: list[str]
    measured: list[str]
    tested: list[MeanTest]
    left_out: int

    @property
    def mde(self) -> float:
        """Minimal detectable effect of the middle cell, nats."""
        return float(np.median([found.mde for found in self.tested]))


def family(rows: pd.DataFrame) -> Family:
    """Test what each set does to each relation's facts beyond push-matched draws.

    Args:
        rows: Rows of `set` and `push_matched` of the cells to test.
    """
    items = arms.excess(
        arms.of_kind(rows, "set"), controls := arms.of_kind(rows, "push_matched"), by=["relation"]
    ).items
    if items.empty:
        return Family([], [], [], 0)
    facts = _per_fact(items, "excess", ["relation", "measured", "fact"])
    size = facts.groupby(["relation", "measured"], observed=True)["fact"].transform("size")
    kept = _with_several_draws(facts[size >= MIN_FACTS], controls)
    left_out = len(facts[["relation", "measured"]].drop_duplicates()) - len(
        names := kept[["relation", "measured"]].drop_duplicates().sort_values(list(PAIR))
    )
    if kept.empty:
        return Family([], [], [], left_out)
    tested = simultaneous(
        kept["excess"].to_numpy(np.float64),
        _labels(kept),
        kept["fact"].to_numpy(),
        between=_between(controls, kept),
    )
    return Family(names["relation"].tolist(), names["measured"].tolist(), tested, left_out)


def _with_several_draws(facts: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Leave out cells with a single draw where others have more.

    Such a cell says nothing of the variance between draws; without that variance, no interval of
    the family would be wide enough.
    """
    n_draws = _n_draws(controls)
    if n_draws.max() < 2:
        return facts
    cells = pd.MultiIndex.from_frame(facts[list(PAIR)])
    return facts[cells.isin(n_draws.index[n_draws > 1])]


def _n_draws(controls: pd.DataFrame) -> pd.Series:
    return controls.groupby(list(PAIR), observed=True)["draw"].nunique()


def _labels(rows: pd.DataFrame) -> Int[np.ndarray, " row"]:
    """Number the cells in the sorted order of (relation, measured)."""
    relation, measured = (codes(rows[name].to_numpy()) for name in PAIR)
    return np.asarray(relation * (int(measured.max()) + 1) + measured)


def _per_fact(rows: pd.DataFrame, value: str, keys: list[str]) -> pd.DataFrame:
    return rows.groupby(keys, sort=False, observed=True)[value].mean().reset_index()


def _between(controls: pd.DataFrame, kept: pd.DataFrame) -> Between | None:
    """Estimate the variance of a cell's excess that comes from drawing neurons.

    Draws of one number, over all languages together, are one drawn set. In each cell draws x facts
    are a two-way layout, whose draws' mean square less the residual's estimates the variance
    between sets (negative where there is none); it is pooled over the cells that ask the same
    relation, whose answers are as easily moved. The set itself is one draw, and its control the
    mean of the draws. None with a single draw.
    """
    cells = kept[list(PAIR)].drop_duplicates()
    rows = _per_fact(controls, "effect", [*PAIR, "fact", "draw"]).merge(cells, on=list(PAIR))
    if _n_draws(rows).max() < 2:
        return None
    cell = codes(_labels(rows))
    spread, residual, n_draws, n_facts = _two_way(rows, cell)
    column = codes(cells.sort_values(list(PAIR))["measured"].to_numpy())
    spread, residual = (group_means(part, column)[column] for part in (spread, residual))
    scale = 1 + 1 / n_draws
    freedom = np.bincount(column, weights=n_draws - 1)[column]
    errors = spread**2 / freedom + residual**2 / (freedom * (n_facts - 1))
    between = scale * np.maximum(spread - residual, 0.0)
    return Between(between, 2 * scale**2 * errors, n_draws - 1)


def _two_way(
    rows: pd.DataFrame, cell: Int[np.ndarray, " row"]
) -> tuple[Float[np.ndarray, " cell"], ...]:
    """Return each cell's variance of draws' means, its part from items, draws and facts."""
    value = rows["effect"].to_numpy(np.float64)
    fact, draw = codes(rows["fact"].to_numpy()), codes(rows["draw"].to_numpy())
    by_fact, by_draw = (codes(cell * (c.max() + 1) + c) for c in (fact, draw))
    draw_cell = np.zeros(by_draw.max() + 1, dtype=np.int64)
    draw_cell[by_draw] = cell
    middle, draws = group_means(value, cell), group_means(value, by_draw)
    n_draws = np.bincount(draw_cell).astype(np.float64)
    n_facts = np.bincount(cell) / n_draws
    left = value - group_means(value, by_fact)[by_fact] - draws[by_draw] + middle[cell]
    residual = np.bincount(cell, weights=left**2) / ((n_facts - 1) * (n_draws - 1))
    spread = np.bincount(draw_cell, weights=(draws - middle[draw_cell]) ** 2) / (n_draws - 1)
    return spread, residual / n_facts, n_draws, n_facts
