"""Maps: a cell per pair of names, coloured by a number."""

from dataclasses import dataclass

from neuron_atlas.pages.specs import LEGEND_OFFSET, Axis, Hover, Rows, Spec, named, sized

ROW_HEIGHT = 24  # pixels
CELL = 33  # pixels of a cell's width that hold its number
SHORT = 4  # characters of a label that fits under a cell


@dataclass(frozen=True)
class Shown:
    """What a map's cells show.

    Attributes:
        field: The column with the number.
        title: What the colours stand for.
        format: How the number is written into wide cells, a d3 format.
        middle: The number in the middle of the colours, where both directions matter.
        domain: Where the colours begin and end; by default at the extremes.
        scale: Type of the scale: `linear`, or `symlog`, which keeps small numbers visible.
        constant: Of `symlog`: about here small numbers end.
    """

    field: str
    title: str
    format: str = ".2f"
    middle: float | None = None
    domain: tuple[float, float] | None = None
    scale: str = "linear"
    constant: float = 0.05

    def colours(self) -> Spec:
        """Return the scale of the colours."""
        scale: Spec = {"type": self.scale, "interpolate": "rgb"}
        if self.scale == "symlog":
            scale["constant"] = self.constant
        if self.middle is not None:
            scale["domainMid"] = self.middle
        if self.domain is not None:
            scale["domain"] = list(self.domain)
        return scale


def heat_map(rows: Rows, x: Axis, y: Axis, shown: Shown, hover: Hover) -> Spec:
    """Return a map: a cell per row, its number in it where there is room, outlined if `outlined`.

    Rows and columns keep the order in which the rows name them.
    """
    n_rows = len(dict.fromkeys(row[y.field] for row in rows))
    n_columns = max(len(dict.fromkeys(row[x.field] for row in rows)), 1)
    number = f"datum['{shown.field}']"
    with_number = [{"filter": f"isValid({number})"}]
    fill = {"field": shown.field, "type": "quantitative", "scale": shown.colours()}
    bar = {"orient": "top", "title": shown.title, "gradientLength": 180, "tickCount": 4}
    bar |= {"offset": LEGEND_OFFSET}
    on_dark = {"test": f"luminance(scale('color', {number})) < 0.22", "value": "#ffffff"}
    text = {
        "mark": {
            **{"type": "text", "fontSize": 11},
            "opacity": {"expr": f"width / {n_columns} > {CELL} ? 1 : 0"},
        },
        "transform": with_number,
        "encoding": {
            "text": {"field": shown.field, "format": shown.format},
            "color": {"condition": on_dark, "value": "#14181b"},
        },
    }
    return sized(
        rows,
        height=max(n_rows, 2) * ROW_HEIGHT,
        encoding={
            "x": _across(x, rows),
            "y": _in_order(named(y), rows),
            "tooltip": hover.encoded(),  # of the number and the outline too: they lie on the cell
        },
        layer=[
            {
                "transform": with_number,
                "mark": {"type": "rect", "style": "tile"},
                "encoding": {"color": {**fill, "legend": bar}},
            },
            {
                "transform": [{"filter": "datum.outlined === true"}],
                "mark": {"type": "rect", "style": "outline", "fillOpacity": 0},
            },
            text,
        ],
    )


def _across(axis: Axis, rows: Rows) -> Spec:
    longest = max((len(str(row[axis.field])) for row in rows), default=0)
    angle = 0 if longest <= SHORT else -45
    labels = {"domain": False, "ticks": False, "labelPadding": 4, "labelAngle": angle}
    named = {"field": axis.field, "type": "nominal", "title": axis.title}
    return _in_order({**named, "axis": {**labels, "labelOverlap": angle == 0}}, rows)


def _in_order(channel: Spec, rows: Rows) -> Spec:
    """Keep the order of the rows, also of those without a number, which are not drawn."""
    names = list(dict.fromkeys(row[channel["field"]] for row in rows))
    return {**channel, "scale": {"domain": names}}
