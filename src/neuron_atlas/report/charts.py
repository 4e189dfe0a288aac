"""The page's charts, from the same records as the plots that DVC draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from neuron_atlas.findings.recall import relations
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pages.chart_forms import interval_chart, share_map
from neuron_atlas.pages.charts import Chart
from neuron_atlas.pages.curves import curves
from neuron_atlas.pages.maps import Shown
from neuron_atlas.pages.specs import Axis, Hover
from neuron_atlas.report import plot_data
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.knowledge_charts import knowledge_charts
from neuron_atlas.report.matrix import around, matrix
from neuron_atlas.report.plot_data import ORDERS, Records
from neuron_atlas.report.relation_charts import own_effects, relation_charts

PUSH_NAMES = {"set": "the relation's neurons", "push_matched": ORDERS["push_matched"]}


def page_charts(results: Results) -> dict[str, Chart]:
    """Return the page's charts by name; what was not measured is left out."""
    data = plot_data.plot_records(results)
    languages = list(results.recall)
    made = {
        "recall": _recall(data["recall"]),
        "consistency": _consistency(data["consistency"]),
        "layers": layer_map(data["layers"], "Number of relation neurons in each layer."),
        "overlap": _overlap(data["overlap"]),
        "contrasts": _contrasts(data["contrasts"]),
        "interference": matrix(results.cells_by_language, results.cells, languages),
        "doses": _doses(data["doses"]),
        "pushes": _pushes(results.pushes),
        "transfer": _transfer(data["transfer"], [*languages, POOLED]),
        "relations": own_effects(results.own),
        "selectors": _selectors(results.effects.get("selectors", {})),
        **relation_charts(results.own, relations(results.recall), languages),
        **knowledge_charts(data, results.tables),
    }
    return {name: chart for name, chart in made.items() if chart.rows}


def _recall(rows: Records) -> Chart:
    numbers = {"value": "typed accuracy", "majority_baseline": "majority baseline"}
    return share_map(
        rows,
        Axis("language", "language"),
        Axis("relation", "relation"),
        Shown("value", "typed accuracy", domain=(0.0, 1.0)),
        numbers,
        "Typed accuracy by language and relation, from 0 to 1.",
    )


def _consistency(rows: Records) -> Chart:
    return share_map(
        rows,
        Axis("language", "language"),
        Axis("compared_with", "compared with"),
        Shown("value", "RankC", domain=(0.0, 1.0)),
        {"value": "RankC"},
        "How alike two languages rank the answers (RankC), from 0 to 1.",
    )


def layer_map(rows: Records, alt: str) -> Chart:
    """Return how many neurons of each kind or relation are in each layer."""
    numbers = {"neurons": "neurons", "chance": "if spread evenly"}
    return share_map(
        [{**row, "outlined": False} for row in rows],
        Axis("layer", "layer"),
        Axis("relation", "neurons of"),
        Shown("neurons", "neurons", format=".3~r"),
        numbers,
        alt,
        number_format=".3~r",
    )


def _overlap(rows: Records) -> Chart:
    shown = Shown("value", "shared / expected", ".2~r", scale="symlog", constant=1.0)
    numbers = {"value": "times chance", "count": "shared", "expected": "expected", "q_value": "q"}
    return share_map(
        [{**row, "outlined": bool(row["significant"])} for row in rows],
        Axis("relation", "relation"),
        Axis("compared_with", "compared with"),
        shown,
        numbers,
        "Neurons that two relations share, as a multiple of chance.",
        number_format=".3~r",
    )


def _transfer(rows: Records, order: Sequence[str]) -> Chart:
    in_order = sorted(
        rows, key=lambda row: (order.index(row["source"]), order.index(row["target"]))
    )
    numbers = {"value": "excess, nats", "low": "from", "high": "to", "p_adjusted": "p, adjusted"}
    colours = around([row["value"] for row in rows])
    return share_map(
        [{**row, "outlined": row["significant"]} for row in in_order],
        Axis("target", "language asked"),
        Axis("source", "found in"),
        Shown("value", "excess effect, nats", "+.2f", 0.0, colours, "symlog"),
        numbers,
        "Effect of neurons found in one language on questions in another, nats.",
        number_format="+.2f",
    )


def _contrasts(rows: Records) -> Chart:
    return interval_chart(
        rows,
        "control",
        "change less the control's, nats",
        "What a relation's neurons do to its right answers beyond each control, by part, nats.",
    )


def _doses(rows: Records) -> Chart:
    named = [{**row, "series": row["order"], "percent": 100 * row["share"]} for row in rows]
    named.sort(key=lambda row: list(ORDERS.values()).index(row["series"]))
    return _curves(
        named,
        Axis("percent", "neurons switched off, % of the set"),
        "Effect on a relation's own questions as more of its neurons are switched off, nats.",
        {"k": "neurons"},
    )


def _pushes(table: pd.DataFrame) -> Chart:
    rows: Records = []
    if len(table):
        columns = ["order", "alpha", "push", "effect", "low", "high"]
        in_order = table.sort_values("order", ascending=False, kind="stable")  # the set's own first
        rows = plot_data.json_records(in_order, columns)
    known = [{**row, "series": PUSH_NAMES.get(row["order"], row["order"])} for row in rows]
    return _curves(
        known,
        Axis("alpha", "multiple of the set's own push"),
        "Effect on a relation's own questions as its neurons are pushed further, nats.",
        {"alpha": "times the push", "push": "push"},
    )


def _curves(rows: Records, x: Axis, alt: str, more: Mapping[str, str]) -> Chart:
    texts = {"series": "neurons"} | dict(more)
    numbers = {"effect": "effect, nats", "low": "from", "high": "to"}
    y = Axis("effect", "change of the answer's log-probability, nats")
    spec = curves(rows, x, y, Hover(texts, numbers))
    return Chart(spec, alt, texts | numbers, rows)


def _selectors(found: Mapping[str, Mapping[str, Any]]) -> Chart:
    parts = ("necessity", "specificity", "sufficiency")
    rows = [
        {
            **{"label": name.replace("_", " "), "series": part, "value": one[f"{part}_excess"]},
            **{end: one[f"{part}_{end}"] for end in ("low", "high")},
        }
        for name, one in found.items()
        for part in parts
        if one.get(f"{part}_excess") is not None
    ]
    return interval_chart(
        rows,
        "selected by",
        "nats",
        "Necessity, specificity and sufficiency of sets that were selected in other ways, nats.",
    )
