"""Turn measured interventions into effects with intervals: cells, dose curves, transfer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neuron_atlas.statistics.estimates import (
    Estimate,
    area_under_curve,
    benjamini_hochberg,
    clustered_bootstrap,
    excess_over_draws,
)

ITEM = ["language", "fact"]
Mask = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True)
class AgainstRandom:
    """A set's effect on each item, and the effects of its matched random sets (draws).

    Attributes:
        effect: Change of the answer's log-probability, nats.
        draws: The same under each matched random set.
        facts: Fact of each item; languages of one fact are one cluster.
        before: Whether the typed prediction was right without intervention.
        after: Whether it is right under the set.
        random_after: Share of draws under which it is right.
    """

    effect: Float[np.ndarray, " item"]
    draws: Float[np.ndarray, "draw item"]
    facts: np.ndarray
    before: Bool[np.ndarray, " item"]
    after: Bool[np.ndarray, " item"]
    random_after: Float[np.ndarray, " item"]

    @property
    def n_facts(self) -> int:
        """Number of facts, the clusters."""
        return len(np.unique(self.facts))

    def excess(self) -> tuple[Estimate, float]:
        """Return the set's effect minus that of the draws, nats, and its two-sided p-value."""
        return excess_over_draws(self.effect, self.draws, self.facts)


def against_random(own: pd.DataFrame, random: pd.DataFrame) -> AgainstRandom:
    """Align a set's rows with its draws' rows on the same items.

    Raises:
        ValueError: an item lacks a draw: the languages' results come from different runs.
    """
    keys = ["relation", *ITEM]
    effects = random.pivot_table(index=keys, columns="draw", values="effect", sort=True)
    if effects.isna().any(axis=None):
        raise ValueError("some items lack a random draw; run `dvc repro interference` again")
    own = own.set_index(keys).sort_index()
    after = random.groupby(keys)["correct_after"].mean()
    return AgainstRandom(
        effect=own["effect"].to_numpy(np.float64),
        draws=effects.reindex(own.index).to_numpy(np.float64).T,
        facts=own.index.get_level_values("fact").to_numpy(),
        before=own["correct_before"].to_numpy(np.bool_),
        after=own["correct_after"].to_numpy(np.bool_),
        random_after=after.reindex(own.index).to_numpy(np.float64),
    )


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the effect of each relation's set on each relation asked, with corrected p-values.

    A relation's own cell and the cells of other relations are two families of tests, each
    corrected by itself. A cell of fewer than two facts has no interval and is left out.
    """
    own, random = table[table["kind"] == "set"], table[table["kind"] == "random"]
    rows = []
    draws = dict(list(random.groupby(["relation", "measured"])))
    for key, part in own.groupby(["relation", "measured"]):
        found = against_random(part, draws[key])
        if found.n_facts >= 2:
            rows.append({"relation": key[0], "measured": key[1], **_cell(found)})
    found_cells = pd.DataFrame(rows)
    own_cell = found_cells["relation"] == found_cells["measured"]
    families = [_corrected(found_cells[own_cell]), _corrected(found_cells[~own_cell])]
    return pd.concat(families).sort_index()


def transfer(table: pd.DataFrame) -> pd.DataFrame:
    """Return the effect of sets found in one language on the same relations in another, nats."""
    own = table[table["kind"] == "transfer"]
    draws = dict(list(table[table["kind"] == "transfer_random"].groupby(["source", "language"])))
    rows = []
    for key, part in own.groupby(["source", "language"]):
        found = against_random(part, draws[key])
        if found.n_facts >= 2:
            rows.append({"source": key[0], "target": key[1], **_cell(found)})
    return _corrected(pd.DataFrame(rows))


def _cell(found: AgainstRandom) -> dict[str, float | int]:
    excess, p_value = found.excess()
    return {  # all items are right before, so an answer can only break
        "n_items": len(found.effect),
        "n_facts": found.n_facts,
        "effect": float(found.effect.mean()),
        "random": float(found.draws.mean()),
        "excess": excess.mean,
        "low": excess.low,
        "high": excess.high,
        "p_value": p_value,
        "accuracy_before": float(found.before.mean()),
        "accuracy_after": float(found.after.mean()),
        "accuracy_random": float(found.random_after.mean()),
        "n_broken": int((found.before & ~found.after).sum()),
    }


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(q_value=benjamini_hochberg(table["p_value"].to_numpy(np.float64)))


def by_language(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean effects of each cell and language, nats, without intervals."""
    keys = ["relation", "measured", "language"]
    own = table[table["kind"] == "set"].groupby(keys)["effect"].agg(["size", "mean"])
    random = table[table["kind"] == "random"].groupby(keys)["effect"].mean().rename("random")
    joined = own.rename(columns={"size": "n_items", "mean": "effect"}).join(random)
    return joined.reset_index()


def dose_items(table: pd.DataFrame) -> pd.DataFrame:
    """Return each item's effect at each dose of its own relation's set: the mean over the draws.

    The last point of the curves in rank, reverse and random order is the whole set; that of the
    curve of matched random sets is the whole random sets.
    """
    within = table[table["relation"] == table["measured"]]
    whole = within[within["kind"] == "set"]
    parts = [within[within["kind"] == "dose"]]
    parts += [whole.assign(order=order) for order in ("rank", "reverse", "random_order")]
    n = within.loc[within["order"] == "matched_random", "draw"].nunique()
    random = within[(within["kind"] == "random") & (within["draw"] < n)]
    parts.append(random.assign(order="matched_random"))
    keys = ["order", "k", "relation", *ITEM]
    return pd.concat(parts).groupby(keys)["effect"].mean().reset_index()


def doses(items: pd.DataFrame, *, rng: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    """Return the dose curves: mean effect on the sets' own relations, nats, with intervals."""
    k_max = items["k"].max()
    rows = []
    for (order, k), part in items.groupby(["order", "k"]):
        n = int(str(k))
        found = _bootstrap(part["effect"], part["fact"], rng, n_resamples)
        rows.append(
            {
                "order": order,
                "k": n,
                "share": float(n / k_max),
                "effect": found.mean,
                "low": found.low,
                "high": found.high,
            }
        )
    return pd.DataFrame(rows)


def areas(
    items: pd.DataFrame, *, rng: np.random.Generator, n_resamples: int
) -> dict[str, Estimate]:
    """Return the area under each order's dose curve over the share of the set, nats."""
    found = {}
    for order, part in items.groupby("order"):
        curves = part.pivot_table(index=["relation", *ITEM], columns="k", values="effect")
        area = area_under_curve(curves.columns.to_numpy(np.int64), curves.to_numpy(np.float64))
        facts = pd.Series(curves.index.get_level_values("fact"))
        found[str(order)] = _bootstrap(pd.Series(area), facts, rng, n_resamples)
    return found


def means(
    table: pd.DataFrame,
    parts: Mapping[str, Mask],
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> dict[str, Estimate]:
    """Return the mean effect, nats, over the rows that each mask picks; facts are clusters."""
    found = {}
    for name, mask in parts.items():
        rows = table[mask(table)]
        items = rows.groupby(["relation", *ITEM], as_index=False)["effect"].mean()
        found[name] = _bootstrap(items["effect"], items["fact"], rng, n_resamples)
    return found


def _bootstrap(
    values: pd.Series, facts: pd.Series, rng: np.random.Generator, n_resamples: int
) -> Estimate:
    codes = pd.factorize(facts)[0]
    return clustered_bootstrap(values.to_numpy(np.float64), codes, rng=rng, n_resamples=n_resamples)
