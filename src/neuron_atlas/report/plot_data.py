"""Turn tables into the records that the plots show; numbers stay numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from neuron_atlas.findings.recall import ALL, recall_by_relation
from neuron_atlas.report.inputs import Results

Records = list[dict[str, Any]]
ESTIMATES = ["label", "series", "value", "low", "high", "reference"]
PLACES = {  # where edits are measured
    "reliability": "fitted prompts (reliability)",
    "generality": "held paraphrase (generality)",
    "more_paraphrases": "other paraphrases",
    "other_sources": "other source languages",
    "portability": "other languages (portability)",
    "portability_more": "other languages, other paraphrases",
    "neighbour": "another fact of the relation",
    "locality": "unrelated facts (locality)",
    "text": "unrelated text, each token",
}
DRAWN_PLACES = ("reliability", "generality", "portability", "locality")  # of all arms


def _selection(table: pd.DataFrame) -> Records:
    rows = table[table["where"] == "specific"]
    return _estimates(rows, label="method", series="operation", value="mean")


def _editing(table: pd.DataFrame) -> Records:
    rows = table[(table["operation"] == "edit") & table["where"].isin(DRAWN_PLACES)]
    named = rows.assign(series=rows["where"].map(PLACES))
    return _estimates(named, label="arm", series="series", value="mean")


def _detectors(table: pd.DataFrame) -> Records:
    rows = table.rename(columns={"auroc_low": "low", "auroc_high": "high"})
    return _estimates(rows.assign(reference=0.5), label="detector", series="where", value="auroc")


def _language_counts(table: pd.DataFrame) -> Records:
    kinds = ["observed", "mismatched", "same_relation", "random"]
    long = table.melt("at_least", kinds, var_name="series", value_name="value")
    named = long.assign(
        label=long["at_least"].map("at least {}".format), low=long["value"], high=long["value"]
    )
    return _estimates(named, label="label", series="series", value="value")


def _interactions(table: pd.DataFrame) -> Records:
    return json_records(
        table.rename(columns={"kind": "series"}), ["series", "interaction", "share"]
    )


def _estimates(table: pd.DataFrame, *, label: str, series: str, value: str) -> Records:
    reference = table.get("reference", 0.0)
    columns = {"label": table[label], "series": table[series], "value": table[value]}
    return json_records(table.assign(**columns, reference=reference), ESTIMATES)


def _language_map(table: pd.DataFrame) -> Records:
    """Return every cell; `note` shows two different facts, `outlined` means significant."""
    named = table.assign(note=[f"other {x:.2f}" for x in table["mismatched"]])
    names = list(dict.fromkeys(table["language"]))
    cells = pd.MultiIndex.from_product([names, names], names=["language", "compared_with"])
    whole = named.set_index(["language", "compared_with"]).reindex(cells).reset_index()
    whole["note"] = whole["note"].fillna("")
    whole["outlined"] = whole["significant"].eq(True)  # a pair that was not measured is not
    columns = ["language", "compared_with", "value", "note", "outlined"]
    return json_records(whole, [*columns, "excess", "q_value", "n_facts"])


def _language_layers(table: pd.DataFrame) -> Records:
    kinds = {"fact": "neurons a fact", "relation": "neurons a relation"}
    named = table.assign(relation=table["kind"].map(kinds))
    return json_records(named, ["relation", "layer", "neurons", "chance"])


KNOWLEDGE: dict[str, Callable[[pd.DataFrame], Records]] = {
    "selection": _selection,
    "language_counts": _language_counts,
    "editing": _editing,
    "interactions": _interactions,
    "detectors": _detectors,
    "language_map": _language_map,
    "language_layers": _language_layers,
}


def knowledge_plot(name: str, tables: Mapping[str, pd.DataFrame]) -> Records:
    """Return the records of one plot on knowledge neurons; none if it was not measured."""
    if name not in tables or tables[name].empty:
        return []
    return KNOWLEDGE[name](tables[name])


def json_records(table: pd.DataFrame, columns: list[str]) -> Records:
    """Return one record per row, of some columns, as JSON values."""
    return [
        {key: _json_value(value) for key, value in zip(columns, row, strict=True)}
        for row in table[columns].itertuples(index=False, name=None)
    ]


def _json_value(value: Any) -> Any:
    """Return a JSON value: six significant digits, None for a missing number."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    return None if pd.isna(value) else float(f"{value:.6g}")


SIGNIFICANT = 0.05  # corrected p-value below which a cell counts as significant
ORDERS = {
    "rank": "strongest first",
    "reverse": "weakest first",
    "random_order": "random order",
    "push_matched": "random neurons of equal push",
}
PART_NAMES = {
    "effect": "answer",
    "effect_type": "type",
    "effect_given_type": "first token given type",
    "effect_later": "later tokens",
}
CONTROL_NAMES = {
    "size_matched": "random neurons of like activation",
    "push_matched": "random neurons of equal push",
    "direction": "random direction of equal push",
    "other_set": "other relations' neurons at equal push",
}


def plot_records(results: Results) -> dict[str, Records]:
    """Return the records of every plot, by its name."""
    return {
        "recall": recall(recall_by_relation(results.recall, results.consistency["paraphrase"])),
        "consistency": consistency(results.consistency["languages"]),
        "layers": layers(results.sets, results.relation_neurons["n_layers"]),
        "overlap": overlap(results.relation_neurons["overlap"]),
        "interference": interference(results.cells),
        "doses": doses(results.doses),
        "contrasts": contrasts(results.contrasts),
        "transfer": transfer(results.transfer),
        **{name: knowledge_plot(name, results.tables) for name in KNOWLEDGE},
    }


def recall(table: pd.DataFrame) -> Records:
    """Return one record per language and relation, `ALL` first; `value` is the typed accuracy.

    Args:
        table: As `findings.recall.recall_by_relation` returns it: shares in [0, 1].
    """
    rows = table.assign(
        first=table["relation"] != ALL,
        value=table["typed_accuracy"],
        note=[f"base {share:.2f}" for share in table["majority_baseline"]],
        outlined=False,
    ).sort_values("first", kind="stable")
    columns = ["language", "relation", "value", "note", "outlined", "majority_baseline", "n_facts"]
    return json_records(rows, columns)


def layers(sets: pd.DataFrame, n_layers: int) -> Records:
    """Return the pooled relation neurons per layer; `chance` is that of an even spread."""
    pooled = sets[sets["source"] == "pooled"]
    counts = pd.crosstab(pooled["relation"], pooled["layer"])
    counts = counts.reindex(pooled["relation"].unique())
    counts = counts.reindex(columns=range(n_layers), fill_value=0)
    chance = counts.sum(axis=1) / n_layers
    long = counts.reset_index().melt("relation", var_name="layer", value_name="neurons")
    return json_records(
        long.assign(chance=long["relation"].map(chance)),
        ["relation", "layer", "neurons", "chance"],
    )


def overlap(entries: Sequence[Mapping[str, Any]]) -> Records:
    """Return both cells of each pair of relations; `value` is shared / expected neurons."""
    table = pd.DataFrame([dict(entry) for entry in entries], columns=_OVERLAP)
    table = table.assign(value=table["count"] / table["expected"])
    both = _symmetric(table.rename(columns={"a": "relation", "b": "compared_with"}), "relation")
    return json_records(
        both.assign(significant=both["q_value"] < SIGNIFICANT),
        ["relation", "compared_with", "value", "count", "expected", "q_value", "significant"],
    )


def interference(cells: pd.DataFrame) -> Records:
    """Return one record per relation switched off and relation asked; `value`: the excess, nats."""
    return _effects(cells, ["relation", "measured"])


def transfer(cells: pd.DataFrame) -> Records:
    """Return one record per source and target language; `value` is the excess, nats."""
    return _effects(cells, ["source", "target"])


def doses(table: pd.DataFrame) -> Records:
    """Return one record per order and dose, with its 95 % interval, nats.

    Raises:
        ValueError: an order is unknown.
    """
    if table.empty:
        return []
    unknown = sorted(set(table["order"]) - set(ORDERS))
    if unknown:
        raise ValueError(f"doses: order must be one of {list(ORDERS)}, got {unknown}")
    named = table.assign(order=table["order"].map(ORDERS))
    return json_records(named, ["order", "k", "share", "effect", "low", "high"])


def contrasts(table: pd.DataFrame) -> Records:
    """Return what sets do to right answers beyond each control, by part of the effect, nats."""
    if table.empty:
        return []
    right = table[table["questions"] == "right"]
    named = right.assign(
        label=right["control"].replace(CONTROL_NAMES), series=right["part"].replace(PART_NAMES)
    )
    return _estimates(named, label="label", series="series", value="excess")


def consistency(entries: Sequence[Mapping[str, Any]]) -> Records:
    """Return RankC of each pair of languages, the mean over their relations, in [0, 1]."""
    table = pd.DataFrame([dict(entry) for entry in entries], columns=_CONSISTENCY)
    pairs = table.groupby(["a", "b"], sort=False)
    means = pairs.agg(value=("rankc", "mean"), n_relations=("relation", "nunique")).reset_index()
    named = means.rename(columns={"a": "language", "b": "compared_with"})
    both = _symmetric(named, "language").assign(note="", outlined=False)
    columns = ["language", "compared_with", "value", "n_relations", "note", "outlined"]
    return json_records(both, columns)


_OVERLAP = ["a", "b", "count", "expected", "expected_within_layer", "p_value", "q_value"]
_CONSISTENCY = ["a", "b", "relation", "rankc", "n_facts"]


def _effects(cells: pd.DataFrame, axes: list[str]) -> Records:
    rows = cells.assign(value=cells["excess"], significant=cells["p_adjusted"] < SIGNIFICANT)
    measured = ["value", "low", "high", "p_adjusted", "significant", "effect", "random", "n_items"]
    return json_records(rows, [*axes, *measured])


def _symmetric(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Add the cell (b, a) of each (a, b), and empty cells (a, a), so that both axes are alike."""
    swap = {first: "compared_with", "compared_with": first}
    both = pd.concat([table, table.rename(columns=swap)], ignore_index=True)
    names = list(both[first].unique())
    cells = pd.MultiIndex.from_product([names, names], names=[first, "compared_with"])
    given = both.drop_duplicates([first, "compared_with"]).set_index([first, "compared_with"])
    return given.reindex(cells).reset_index()
