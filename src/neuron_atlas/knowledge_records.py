"""Tables on knowledge neurons to the records that the plots show."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

Records = list[dict[str, Any]]
ESTIMATES = ["label", "series", "value", "low", "high", "reference"]
PLACES = {
    "same_language": "language of the neurons",
    "other_languages": "other languages",
    "unrelated": "unrelated facts",
    "paraphrase": "another paraphrase",
}


def _selection(table: pd.DataFrame) -> Records:
    rows = table[table["where"] == "specific"]
    return _estimates(rows, label="method", series="operation", value="mean")


def _editing(table: pd.DataFrame) -> Records:
    rows = table[table["operation"] == "edit"]
    named = rows.assign(series=rows["where"].map(PLACES))
    return _estimates(named, label="arm", series="series", value="mean")


def _detectors(table: pd.DataFrame) -> Records:
    rows = table.rename(columns={"auroc_low": "low", "auroc_high": "high"})
    named = rows.assign(series="test claims", reference=0.5)
    return _estimates(named, label="detector", series="series", value="auroc")


def _language_counts(table: pd.DataFrame) -> Records:
    kinds = ["observed", "mismatched", "same_relation", "random"]
    long = table.melt("at_least", kinds, var_name="series", value_name="value")
    named = long.assign(
        label=long["at_least"].map("at least {}".format), low=long["value"], high=long["value"]
    )
    return _estimates(named, label="label", series="series", value="value")


def _interactions(table: pd.DataFrame) -> Records:
    return rows_of(table.rename(columns={"kind": "series"}), ["series", "interaction", "share"])


def _estimates(table: pd.DataFrame, *, label: str, series: str, value: str) -> Records:
    reference = table.get("reference", 0.0)
    columns = {"label": table[label], "series": table[series], "value": table[value]}
    return rows_of(table.assign(**columns, reference=reference), ESTIMATES)


def _language_map(table: pd.DataFrame) -> Records:
    """Return every cell; the small figure is that of two facts, outlines survive correction."""
    named = table.assign(note=[f"other {x:.2f}" for x in table["mismatched"]])
    names = list(dict.fromkeys(table["language"]))
    cells = pd.MultiIndex.from_product([names, names], names=["language", "compared_with"])
    whole = named.set_index(["language", "compared_with"]).reindex(cells).reset_index()
    whole["note"] = whole["note"].fillna("")
    whole["outlined"] = whole["significant"].eq(True)  # a pair that was not measured is not
    columns = ["language", "compared_with", "value", "note", "outlined"]
    return rows_of(whole, [*columns, "excess", "q_value", "n_facts"])


def _language_layers(table: pd.DataFrame) -> Records:
    kinds = {"fact": "neurons a fact", "relation": "neurons a relation"}
    named = table.assign(relation=table["kind"].map(kinds))
    return rows_of(named, ["relation", "layer", "neurons", "chance"])


KNOWLEDGE: dict[str, Callable[[pd.DataFrame], Records]] = {
    "selection": _selection,
    "language_counts": _language_counts,
    "editing": _editing,
    "interactions": _interactions,
    "detectors": _detectors,
    "language_map": _language_map,
    "language_layers": _language_layers,
}


def knowledge(name: str, tables: Mapping[str, pd.DataFrame]) -> Records:
    """Return the records of one plot on knowledge neurons; none for what was not measured."""
    if name not in tables or tables[name].empty:
        return []
    return KNOWLEDGE[name](tables[name])


def rows_of(table: pd.DataFrame, columns: list[str]) -> Records:
    """Return the rows of some columns, as JSON values."""
    return [
        {key: _plain(value) for key, value in zip(columns, row, strict=True)}
        for row in table[columns].itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    """Return a JSON value: six significant digits, None where there is no number."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    return None if pd.isna(value) else float(f"{value:.6g}")
