"""Intervals: estimates below each other, several series side by side, and a line of no effect."""

import textwrap

from neuron_atlas.pages import specs
from neuron_atlas.pages.specs import Axis, Hover, Rows, Spec

INTERVAL_HEIGHT = 15  # pixels
LINE_HEIGHT = 14  # pixels of a line of a label
LABEL_WIDTH = 24  # characters of a line of a label


def estimates(rows: Rows, value: Axis, hover: Hover, *, reference: float = 0.0) -> Spec:
    """Return intervals: one per row, of the columns `label`, `series`, `value`, `low`, `high`.

    Args:
        rows: Labels stand below each other in the order in which the rows name them; the series of
            a label stand together, each with its colour and shape.
        value: The axis.
        hover: What the pointer shows.
        reference: Where the line of no effect is.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    names = specs.series_names(rows)
    lines = max((len(wrapped(label).split("\n")) for label in labels), default=1)
    each = max(INTERVAL_HEIGHT * len(names) + 10, LINE_HEIGHT * lines + 6)
    wrap = [{**row, "label": wrapped(str(row["label"]))} for row in rows]
    x = specs.number(value, specs.few_ticks()) | {"scale": {"zero": False}}
    series = specs.series_channels(names, shape=True)
    return specs.sized(
        wrap,
        height=max(len(labels) * each, 60),
        encoding={
            "y": {**specs.named(Axis("label", "")), "axis": _lines_of_labels()},
            "yOffset": {"field": "series", "type": "nominal", "scale": {"domain": names}},
            "tooltip": hover.encoded(),
        },
        layer=[
            {
                "data": {"values": [{"reference": reference}]},
                "mark": {"type": "rule", "style": "reference", "tooltip": None},
                "encoding": {
                    **{"x": {"field": "reference", "type": "quantitative"}},
                    **dict.fromkeys(("y", "yOffset", "tooltip")),
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "color": series["color"],
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": x, **series},
            },
        ],
    )


def _lines_of_labels() -> Spec:
    lines = {"labelExpr": "split(datum.label, '\\n')", "labelLineHeight": LINE_HEIGHT}
    return {"domain": False, "ticks": False, "labelPadding": 6, **lines}


def wrapped(label: str) -> str:
    """Return a label in lines that fit beside a chart on a phone."""
    return "\n".join(textwrap.wrap(label, LABEL_WIDTH, break_long_words=False)) or label
