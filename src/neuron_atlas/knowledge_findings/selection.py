"""Sum up the comparison of ways to select neurons: estimates, tests and the verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.findings.audits import audited
from neuron_atlas.interventions.neuron_sets import AMIG, METHODS, RANDOM
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics.estimates import (
    Estimate,
    benjamini_hochberg,
    clustered_bootstrap,
    excess_over_draws,
)
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding

ITEM = ["language", "fact"]
PLACES = ("related", "unrelated", "specific")
OPERATIONS = ("suppress", "enhance", "both")
COLUMNS = [
    "language",
    "fact",
    "method",
    "operation",
    "draw",
    "where",
    "measured",
    "effect",
    "audited_error",
]


def summarise(
    files: Mapping[str, Path], *, negligible: float, n_resamples: int, seed: int
) -> Finding:
    """Sum up the comparison over all languages.

    Intervals of single sets are over facts; the verdict's is over relations.

    Args:
        files: Each language's measured operations.
        negligible: Differences below this, in nats, do not matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.
    """
    table = pd.concat([store.read_table(f, COLUMNS) for f in files.values()], ignore_index=True)
    rng = stream(seed, "knowledge", "selection")
    found = items(table)
    rows = _tested(_rows(found, rng, n_resamples), found)
    rows = rows.assign(published_sr=_published(table, rows))
    specific = _specific(found)
    summary: dict[str, Any] = {
        str(method): {
            str(r["where"]): {n: r[n] for n in ("mean", "low", "high")}
            for r in store.records(part)
            if r["operation"] == "both"
        }
        for method, part in rows.groupby("method")
    }
    summary["normaliser"] = audited(table["audited_error"])
    summary["n_facts"] = int(found.index.get_level_values("fact").nunique())
    rivals = tuple(name for name in METHODS if name != AMIG)
    if knowledge_verdicts.n_relations(specific["fact"]) >= 2:
        against = knowledge_verdicts.differences(specific, AMIG, rivals)
        summary["amig_minus"] = {
            name: {**one.effect.as_dict(), "p_value": one.p_value} for name, one in against.items()
        }
    means = ", ".join(f"{name} {specific[name].mean():+.3f}" for name in (*METHODS, RANDOM))
    measured = (
        "Effect of sets of equal size on the fact's own answer less that on unrelated answers, "
        f"nats, (enhance - suppress) / 2: {means}."
    )
    verdict = knowledge_verdicts.amig_beats_baselines(
        specific, AMIG, rivals, measured=measured, negligible=negligible
    )
    return Finding("selection", summary, {"amig_beats_baselines": verdict}, {"selection": rows})


def items(table: pd.DataFrame) -> pd.DataFrame:
    """Return each set's effects on one fact in one language, nats.

    Rows are (language, fact, method, draw), columns (operation, where). `specific` is the change on
    the fact minus the mean change on unrelated facts, and `both` is (enhance - suppress) / 2: a
    positive number there always means that the neurons push the answer up.
    """
    means = table.pivot_table(
        index=[*ITEM, "method", "draw"], columns=["operation", "where"], values="effect"
    ).astype(np.float64)
    for place in ("related", "unrelated"):
        means["both", place] = (means["enhance", place] - means["suppress", place]) / 2
    for operation in OPERATIONS:
        means[operation, "specific"] = means[operation, "related"] - means[operation, "unrelated"]
    return means.sort_index(axis=1)


def _rows(found: pd.DataFrame, rng: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    rows = []
    for method in (*METHODS, RANDOM):
        own = found.xs(method, level="method").groupby(ITEM).mean()
        facts = own.index.get_level_values("fact").to_numpy(str)
        for operation in OPERATIONS:
            for where in PLACES:
                values = own[operation, where].to_numpy(np.float64)
                one = clustered_bootstrap(values, facts, rng=rng, n_resamples=n_resamples)
                rows.append(
                    {
                        "method": method,
                        "operation": operation,
                        "where": where,
                        **one.as_dict(),
                        "n_facts": len(np.unique(facts)),
                    }
                )
    return pd.DataFrame(rows)


def _tested(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Add p and q values of each method's specific effects against matched random sets."""
    tested = (rows["method"] != RANDOM) & (rows["where"] == "specific")
    p_value, q_value = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    p_value[tested] = [
        _beyond_random(found, row["method"], row["operation"])[1]
        for row in store.records(rows[tested])
    ]
    q_value[tested] = benjamini_hochberg(p_value[tested])
    return rows.assign(p_value=p_value, q_value=q_value)


def _beyond_random(found: pd.DataFrame, method: str, operation: str) -> tuple[Estimate, float]:
    effects = found[operation, "specific"].rename("effect").reset_index()
    own = effects[effects["method"] == method].set_index(ITEM)["effect"]
    draws = effects[effects["method"] == RANDOM].pivot_table(
        index=ITEM, columns="draw", values="effect"
    )
    return excess_over_draws(
        own.to_numpy(np.float64),
        draws.reindex(own.index).to_numpy(np.float64).T,
        own.index.get_level_values("fact").to_numpy(str),
    )


def _published(table: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Return the success rate of Chen et al. 2024 (arXiv 2308.13198, equation 11) by method.

    Mean |relative change of the answer's probability| on the facts, divided by that on unrelated
    facts, each summed over both operations. Only for comparison with published numbers: the ratio
    has no bound, and neurons without any effect can have any value of it.
    """
    change = pd.Series(np.abs(np.expm1(table["effect"].to_numpy(np.float64))), index=table.index)
    keys = [table["method"], table["operation"], table["where"]]
    total = change.groupby(keys).mean().groupby(["method", "where"]).sum().unstack("where")
    ratio = total["related"] / total["unrelated"].where(total["unrelated"] > 0)
    shown = (rows["operation"] == "both") & (rows["where"] == "specific")
    return rows["method"].map(ratio).where(shown)


def _specific(found: pd.DataFrame) -> pd.DataFrame:
    """Return each method's specific effect on each item, with `fact`; random sets' mean draws."""
    effects = found["both", "specific"].rename("effect").reset_index()
    wide = effects.pivot_table(index=ITEM, columns="method", values="effect").reset_index()
    return wide.dropna(subset=[*METHODS])
