"""Tables to the records that the plots show; numbers stay numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from neuron_atlas.knowledge_records import KNOWLEDGE, Records, knowledge, rows_of
from neuron_atlas.recall_summary import ALL, measure
from neuron_atlas.results import Results

SIGNIFICANT = 0.05  # false discovery rate below which a cell counts
ORDERS = {
    "rank": "strongest first",
    "reverse": "weakest first",
    "random_order": "random order",
    "matched_random": "matched random neurons",
}


def of(results: Results) -> dict[str, Records]:
    """Return the data of every plot by its name."""
    return {
        "recall": recall(measure(results.recall, results.consistency["paraphrase"])),
        "consistency": consistency(results.consistency["languages"]),
        "layers": layers(results.sets, results.found["n_layers"]),
        "overlap": overlap(results.found["overlap"]),
        "interference": interference(results.cells),
        "doses": doses(results.doses),
        "transfer": transfer(results.transfer),
        **{name: knowledge(name, results.tables) for name in KNOWLEDGE},
    }


def recall(table: pd.DataFrame) -> Records:
    """Return one record a language and relation, `ALL` first; `value` is the typed accuracy.

    Args:
        table: From `recall_summary.measure`: shares in [0, 1].
    """
    rows = table.assign(
        first=table["relation"] != ALL,
        value=table["typed_accuracy"],
        note=[f"base {share:.2f}" for share in table["majority_baseline"]],
        outlined=False,
    ).sort_values("first", kind="stable")
    columns = ["language", "relation", "value", "note", "outlined", "majority_baseline", "n_facts"]
    return rows_of(rows, columns)


def layers(sets: pd.DataFrame, n_layers: int) -> Records:
    """Return the number of pooled relation neurons in each layer, and what an even spread gives."""
    pooled = sets[sets["source"] == "pooled"]
    counts = pd.crosstab(pooled["relation"], pooled["layer"])
    counts = counts.reindex(pooled["relation"].unique())
    counts = counts.reindex(columns=range(n_layers), fill_value=0)
    chance = counts.sum(axis=1) / n_layers
    long = counts.reset_index().melt("relation", var_name="layer", value_name="neurons")
    return rows_of(
        long.assign(chance=long["relation"].map(chance)),
        ["relation", "layer", "neurons", "chance"],
    )


def overlap(entries: Sequence[Mapping[str, Any]]) -> Records:
    """Return both cells of each pair of relations; `value` is shared / expected neurons."""
    table = pd.DataFrame([dict(entry) for entry in entries], columns=_OVERLAP)
    table = table.assign(value=table["count"] / table["expected"])
    both = _symmetric(table.rename(columns={"a": "relation", "b": "compared_with"}), "relation")
    return rows_of(
        both.assign(significant=both["q_value"] < SIGNIFICANT),
        ["relation", "compared_with", "value", "count", "expected", "q_value", "significant"],
    )


def interference(cells: pd.DataFrame) -> Records:
    """Return one record a relation switched off and relation asked; `value` is the excess, nats."""
    return _effects(cells, ["relation", "measured"])


def transfer(cells: pd.DataFrame) -> Records:
    """Return one record a source and target language; `value` is the excess, nats."""
    return _effects(cells, ["source", "target"])


def doses(table: pd.DataFrame) -> Records:
    """Return one record an order and dose, with its 95 % band, nats.

    Raises:
        ValueError: an order is unknown.
    """
    unknown = sorted(set(table["order"]) - set(ORDERS))
    if unknown:
        raise ValueError(f"doses: order must be one of {list(ORDERS)}, got {unknown}")
    named = table.assign(order=table["order"].map(ORDERS))
    return rows_of(named, ["order", "k", "share", "effect", "low", "high"])


def consistency(entries: Sequence[Mapping[str, Any]]) -> Records:
    """Return RankC of each pair of languages, the mean over their relations, in [0, 1]."""
    table = pd.DataFrame([dict(entry) for entry in entries], columns=_CONSISTENCY)
    pairs = table.groupby(["a", "b"], sort=False)
    means = pairs.agg(value=("rankc", "mean"), n_relations=("relation", "nunique")).reset_index()
    named = means.rename(columns={"a": "language", "b": "compared_with"})
    both = _symmetric(named, "language").assign(note="", outlined=False)
    columns = ["language", "compared_with", "value", "n_relations", "note", "outlined"]
    return rows_of(both, columns)


_OVERLAP = ["a", "b", "count", "expected", "expected_within_layer", "p_value", "q_value"]
_CONSISTENCY = ["a", "b", "relation", "rankc", "n_facts"]


def _effects(cells: pd.DataFrame, axes: list[str]) -> Records:
    rows = cells.assign(value=cells["excess"], significant=cells["q_value"] < SIGNIFICANT)
    measured = ["value", "low", "high", "q_value", "significant", "effect", "random", "n_items"]
    return rows_of(rows, [*axes, *measured])


def _symmetric(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Add the cell (b, a) of each (a, b), and empty cells (a, a) that keep the axes in step."""
    swap = {first: "compared_with", "compared_with": first}
    both = pd.concat([table, table.rename(columns=swap)], ignore_index=True)
    names = list(both[first].unique())
    cells = pd.MultiIndex.from_product([names, names], names=[first, "compared_with"])
    given = both.drop_duplicates([first, "compared_with"]).set_index([first, "compared_with"])
    return given.reindex(cells).reset_index()
