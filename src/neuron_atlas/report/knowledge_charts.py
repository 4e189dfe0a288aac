"""The page's charts on knowledge neurons."""

from collections.abc import Mapping

import pandas as pd

from neuron_atlas.pages.chart_forms import interval_chart, share_map
from neuron_atlas.pages.charts import Chart
from neuron_atlas.pages.curves import distributions
from neuron_atlas.pages.maps import Shown
from neuron_atlas.pages.specs import Axis, Hover
from neuron_atlas.report.plot_data import Records, json_records

ENDS = ("value", "low", "high")
TRUTHS = {"zero": "set to zero", "mean": "set to their mean", "own": "set to its own baseline"}


def knowledge_charts(
    data: Mapping[str, Records], tables: Mapping[str, pd.DataFrame]
) -> dict[str, Chart]:
    """Return the charts on knowledge neurons; those of nothing have no rows.

    Args:
        data: The records of DVC's plots, by name.
        tables: The tables of data/knowledge.
    """
    return {
        "selection": interval_chart(
            data["selection"],
            "selected by",
            "change on the fact less that on others, nats",
            "Effect on the fact less that on unrelated facts, by method and operation, nats.",
        ),
        "attribution_methods": _methods(tables.get("attribution_methods", pd.DataFrame())),
        "language_counts": interval_chart(
            data["language_counts"],
            "languages that share a neuron",
            "neurons per fact",
            "Neurons of a fact that at least two, three and more languages share.",
        ),
        "language_map": _language_map(data["language_map"]),
        "language_layers": _language_layers(data["language_layers"]),
        "editing": interval_chart(
            data["editing"],
            "neurons edited",
            "gain of the new answer over the old, nats",
            "Gain of the new answer over the old after an edit, by arm and place, nats.",
        ),
        "interactions": _interactions(data["interactions"]),
        "detectors": interval_chart(
            data["detectors"],
            "detector",
            "area under the curve",
            "Area under the curve of each detector; 0.5 is chance.",
            reference=0.5,
        ),
    }


def _methods(table: pd.DataFrame) -> Chart:
    rows: Records = []
    for name, words in TRUTHS.items() if len(table) else ():
        columns = {"label": table["method"], "value": table[f"spearman_{name}"]}
        columns |= {end: table[f"spearman_{name}_{end}"] for end in ("low", "high")}
        rows += json_records(table.assign(series=words, **columns), ["label", "series", *ENDS])
    return interval_chart(
        rows,
        "method",
        "rank correlation with exact ablation",
        "Rank correlation of each attribution method with exact ablation.",
        names={"label": "method", "series": "neurons"},
    )


def _language_map(rows: Records) -> Chart:
    numbers = {"value": "Jaccard index", "excess": "beyond two facts", "q_value": "q"}
    return share_map(
        rows,
        Axis("language", "language"),
        Axis("compared_with", "compared with"),
        Shown("value", "Jaccard index"),
        numbers,
        "Jaccard index of a fact's neurons between pairs of languages.",
        number_format=".3f",
    )


def _language_layers(rows: Records) -> Chart:
    named = [{**row, "outlined": False} for row in rows]
    return share_map(
        named,
        Axis("layer", "layer"),
        Axis("relation", "neurons of"),
        Shown("neurons", "neurons", format=".2~r"),
        {"neurons": "neurons", "chance": "if spread evenly"},
        "Language-independent neurons of facts and of relations in each layer.",
        number_format=".3~r",
    )


def _interactions(rows: Records) -> Chart:
    texts = {"series": "pairs"}
    numbers = {"interaction": "interaction, nats", "share": "share of pairs"}
    spec = distributions(
        rows,
        Axis("interaction", "interaction in log-odds, nats"),
        Axis("share", "share of pairs"),
        Hover(texts, numbers),
    )
    return Chart(spec, "Interaction of pairs of neurons, nats.", texts | numbers, rows)
