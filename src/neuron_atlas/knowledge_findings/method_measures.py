"""How well each method agrees with exact ablation, fact by fact, from what the stage measured."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from neuron_atlas.attribution_methods.sample import best

SHOWN: tuple[str, ...] = ("zero", "mean", "own")  # references: `own` is the method's own baseline
LEAST = 0.1  # nats between the clean target and that with nothing kept, for a faithfulness
RANKED = tuple(f"{kind}_{name}" for kind in ("spearman", "recall") for name in SHOWN)
MEASURES = (
    *RANKED,
    *(f"spearman_random_{name}" for name in SHOWN),
    *("cpr", "cmd", "take_away", "error", "forward", "backward"),
)


def spearman(a: Float[np.ndarray, " neuron"], b: Float[np.ndarray, " neuron"]) -> float:
    """Return Spearman's rank correlation, ties at their mean rank; NaN if either is constant."""
    x, y = (rankdata(one) - (len(one) + 1) / 2 for one in (a, b))
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else float("nan")


def recall(
    scores: Float[np.ndarray, " neuron"], exact: Float[np.ndarray, " neuron"], k: int
) -> float:
    """Return which share of the k neurons with the largest exact drop a method ranks among its k.

    Exact within the sample, which holds the k best of every method.
    """
    n = min(k, len(exact))
    return len(np.intersect1d(best(scores, n), best(exact, n))) / n


def faithfulness(
    values: Float[np.ndarray, " size"], *, clean: float, none: float
) -> Float[np.ndarray, " size"]:
    """Return what share of the target comes back: (F(kept) - F(none)) / (F(clean) - F(none)).

    Wang et al. 2023 (arXiv 2211.00593); Mueller et al. 2025 (MIB, arXiv 2504.13151). NaN where
    clean is not above none by `LEAST`: all neurons together hardly matter here, or hinder.
    """
    if clean - none < LEAST:
        return np.full(len(values), np.nan)
    return (values - none) / (clean - none)


def mean_over_sizes(values: Float[np.ndarray, " size"]) -> float:
    """Return the area under a curve over sizes 1, 2, 4, ..., each doubling having the same width.

    Trapezoids, divided by the number of doublings: a weighted mean of the curve. A deviation from
    MIB, whose areas are over the share of edges, up to all of them.
    """
    if len(values) == 1:
        return float(values[0])
    return float(np.trapezoid(values)) / (len(values) - 1)


def of_fact(
    table: pd.DataFrame, *, own: Mapping[str, str], top: int
) -> dict[str, dict[str, float]]:
    """Return each method's `MEASURES` of one fact; a measure that is not defined is NaN.

    `spearman_*` and `recall_*`: over the sample, each neuron counting once, against the exact drop
    to zero, to the mean over other relations, and to the method's own baseline.
    `spearman_random_*`: over the neurons that no method has among its best, drawn evenly from all
    layers. `cpr`: area under the faithfulness of the best neurons alone; 1 is the clean model.
    `cmd`: area between that curve and 1. `take_away`: area under the share of the target that is
    lost without the best. `error`, `forward`, `backward`: as measured.

    Args:
        table: The fact's rows of `measuring.COLUMNS`.
        own: The reference that is each method's own baseline.
        top: How many best neurons are compared.
    """
    single = {
        quantity: part.pivot_table(index="item", columns="name", values="value")
        for quantity, part in table[table["quantity"].isin(["score", "drop"])].groupby("quantity")
    }
    scores, exact = single["score"], single["drop"]
    strong = _strong(scores, top)
    rest = table[table["quantity"].isin(["error", "forward", "backward"])]
    about = rest.pivot_table(index="name", columns="quantity", values="value", dropna=False)
    return {
        name: {
            **_ranked(scores[name], exact, own[name], strong, top),
            **_areas(table, name),
            **{str(k): float(v) for k, v in about.reindex(index=[name]).iloc[0].items()},
        }
        for name in own
    }


def _strong(scores: pd.DataFrame, top: int) -> Bool[np.ndarray, " neuron"]:
    """Say which neurons of the sample are among the best of any method."""
    found = np.zeros(len(scores), dtype=np.bool_)
    for name in scores:
        found[best(scores[name].to_numpy(np.float64), top)] = True
    return found


def _ranked(
    scores: pd.Series,
    exact: pd.DataFrame,
    own: str,
    strong: Bool[np.ndarray, " neuron"],
    top: int,
) -> dict[str, float]:
    values, found = scores.to_numpy(np.float64), dict[str, float]()
    for shown in SHOWN:
        drop = exact[own if shown == "own" else shown].to_numpy(np.float64)
        found[f"spearman_{shown}"] = spearman(values, drop)
        found[f"recall_{shown}"] = recall(values, drop, top)
        some = ~strong
        alone = spearman(values[some], drop[some]) if some.sum() > 1 else float("nan")
        found[f"spearman_random_{shown}"] = alone
    return found


def _areas(table: pd.DataFrame, method: str) -> dict[str, float]:
    ends = table[table["quantity"] == "target"].set_index("name")["value"]
    clean, none = float(ends["clean"]), float(ends["none"])
    kept, taken = (
        faithfulness(_curve(table, quantity, method), clean=clean, none=none)
        for quantity in ("kept", "taken")
    )
    return {
        "cpr": mean_over_sizes(kept),
        "cmd": mean_over_sizes(np.abs(1 - kept)),
        "take_away": mean_over_sizes(1 - taken),
    }


def _curve(table: pd.DataFrame, quantity: str, method: str) -> Float[np.ndarray, " size"]:
    rows = table[(table["quantity"] == quantity) & (table["name"] == method)]
    return rows.sort_values("item")["value"].to_numpy(np.float64)


def of_language(
    table: pd.DataFrame, *, language: str, own: Mapping[str, str], top: int
) -> pd.DataFrame:
    """Return one row per fact and method, with `language`, `fact`, `method` and `MEASURES`."""
    rows: Sequence[dict[str, object]] = [
        {"language": language, "fact": str(fact), "method": method, **found}
        for fact, part in table.groupby("fact", sort=True)
        for method, found in of_fact(part, own=own, top=top).items()
    ]
    return pd.DataFrame(rows, columns=["language", "fact", "method", *MEASURES])
