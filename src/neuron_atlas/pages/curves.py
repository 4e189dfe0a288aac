"""Curves with their bands, and distributions."""

from neuron_atlas.pages import specs
from neuron_atlas.pages.specs import Axis, Hover, Rows, Spec

HEIGHT = 280  # pixels


def curves(rows: Rows, x: Axis, y: Axis, hover: Hover) -> Spec:
    """Return curves with bands: the columns `series`, `low`, `high`, and those of the axes."""
    across = specs.number(x, specs.few_ticks())
    up = {"type": "quantitative", "title": y.title, "axis": specs.title_above()}
    series = specs.series_channels(specs.series_names(rows), shape=True)
    return specs.sized(
        rows,
        height=HEIGHT,
        encoding={"x": across, "tooltip": hover.encoded()},
        layer=[
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "style": "reference", "tooltip": None},
                "encoding": {
                    "y": {"field": "zero", "type": "quantitative"},
                    **dict.fromkeys(("x", "tooltip")),
                },
            },
            {
                "mark": {"type": "area", "opacity": 0.12, "tooltip": None},
                "encoding": {
                    "y": {"field": "low", **up},
                    "y2": {"field": "high"},
                    "color": series["color"],
                },
            },
            {
                "mark": {"type": "line", "strokeWidth": 2, "tooltip": None},
                "encoding": {"y": {"field": y.field, **up}, "color": series["color"]},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"y": {"field": y.field, **up}, **series},
            },
        ],
    )


def distributions(rows: Rows, x: Axis, y: Axis, hover: Hover) -> Spec:
    """Return one line per value of the column `series`."""
    names = specs.series_names(rows)
    colour = specs.series_channels(names)["color"]
    if colour["legend"]:
        colour["legend"]["symbolType"] = "stroke"
    return specs.sized(
        rows,
        height=HEIGHT,
        encoding={
            "x": specs.number(x, specs.few_ticks()),
            "y": specs.number(y, specs.title_above()),
            "color": colour,
            "tooltip": hover.encoded(),
        },
        layer=[
            {
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step"},
                "encoding": {"strokeDash": colour},
            },
            {"mark": {"type": "point", "opacity": 0, "size": 160}},  # for the pointer to meet
        ],
    )
