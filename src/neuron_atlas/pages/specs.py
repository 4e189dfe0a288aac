"""What Vega-Lite specifications of all kinds of charts share.

Charts are as wide as their place and have their legends above. They leave colours and fonts to
`charts.js`, which knows the page's theme: marks have styles, and scales the ranges `category`,
`heatmap` and `diverging`. What is outlined, dashed or said by a shape needs no colour to be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]
LEGEND_WIDTH = 780  # pixels of a legend's line where there is room
LEGEND_OFFSET = 30  # pixels, so that an axis's title has room below a legend
WIDE = 560  # pixels of a drawing that has room for more
NUMBER = "+.3f"


@dataclass(frozen=True)
class Axis:
    """A column of the rows, and what people call it."""

    field: str
    title: str


@dataclass(frozen=True)
class Hover:
    """What the pointer shows: columns with their titles; `numbers` are formatted, texts are not."""

    texts: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    format: str = NUMBER

    def encoded(self) -> list[Spec]:
        """Return the tooltip's channels."""
        texts = [{"field": f, "type": "nominal", "title": t} for f, t in self.texts.items()]
        numbers = [
            {"field": f, "type": "quantitative", "title": t, "format": self.format}
            for f, t in self.numbers.items()
        ]
        return [*texts, *numbers]


def with_choices(spec: Spec, choices: Sequence[Spec], transform: Sequence[Spec]) -> Spec:
    """Return a chart that people can change: its parameters, and what these do to the rows."""
    return {**spec, "params": list(choices), "transform": list(transform)}


def choice(name: str, title: str, options: Mapping[str, str], *, select: bool = False) -> Spec:
    """Return a parameter that people choose from a few options, shown by their titles.

    Args:
        name: Of the parameter.
        title: Stands before the options.
        options: Value to title; the first is chosen.
        select: Whether the options are in a list that unfolds, where there are many.
    """
    shown = {"input": "select" if select else "radio", "name": f"{title} "}
    values, labels = list(options), list(options.values())
    return {
        "name": name,
        "value": values[0],
        "bind": {**shown, "options": values, "labels": labels},
    }


def sized(rows: Rows, *, height: int, **rest: Any) -> Spec:
    """Return a chart of the rows, as wide as its place and so many pixels high."""
    return {
        "data": {"values": list(rows)},
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        **rest,
    }


def named(axis: Axis) -> Spec:
    """Return a vertical channel with a place for each name, in the order of the rows."""
    labels = {"domain": False, "ticks": False, "labelPadding": 6}
    return {
        **{"field": axis.field, "type": "nominal", "sort": None, "title": axis.title or None},
        "axis": {**labels, **title_above()},
    }


def number(axis: Axis, how: Spec) -> Spec:
    """Return a channel for a column of numbers, with its axis drawn in this way."""
    return {"field": axis.field, "type": "quantitative", "title": axis.title, "axis": how}


def title_above() -> Spec:
    """Write a vertical axis's title above it, from left to right."""
    above = {
        "titleAngle": 0,
        "titleAnchor": "start",
        "titleAlign": "left",
        "titleBaseline": "bottom",
    }
    return {**above, "titleX": 0, "titleY": -8}


def series_names(rows: Rows) -> list[str]:
    """Return the values of the column `series`, in the order of the rows."""
    return list(dict.fromkeys(row["series"] for row in rows))


def few_ticks() -> Spec:
    """Return an axis with as many ticks as its labels have room."""
    at_end = {"titleAnchor": "end", "titleAlign": "right"}  # so that it has the labels' room too
    return {"tickCount": {"expr": "ceil(width / 110)"}, "labelFlush": True, **at_end}


def series_channels(names: Sequence[str], *, shape: bool = False) -> Spec:
    """Return the colours, and shapes, of series; a single one needs no legend."""
    legend = None
    if len(names) > 1:
        fit = int(LEGEND_WIDTH / (7 * max(map(len, names)) + 30))
        columns = {"expr": f"width < {WIDE} ? 1 : {max(min(len(names), fit), 1)}"}
        legend = {"orient": "top", "title": None, "columns": columns, "symbolOpacity": 1}
        legend |= {"offset": LEGEND_OFFSET, "symbolSize": 90}
    scale = {"domain": list(names)}
    channel = {"field": "series", "type": "nominal", "scale": scale, "legend": legend}
    return {"color": channel, **({"shape": channel} if shape else {})}
