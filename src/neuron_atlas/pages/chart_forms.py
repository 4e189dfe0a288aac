"""Charts of two common forms, each with the hover and the table of numbers that belong to it."""

from collections.abc import Mapping

from neuron_atlas.pages.charts import Chart
from neuron_atlas.pages.intervals import estimates
from neuron_atlas.pages.maps import Shown, heat_map
from neuron_atlas.pages.specs import Axis, Hover, Rows


def share_map(
    rows: Rows,
    x: Axis,
    y: Axis,
    shown: Shown,
    numbers: Mapping[str, str],
    alt: str,
    *,
    number_format: str = ".2f",
) -> Chart:
    """Return a map, whose numbers the pointer and the table show under these titles."""
    texts = {x.field: x.title, y.field: y.title}
    spec = heat_map(rows, x, y, shown, Hover(texts, numbers, number_format))
    return Chart(spec, alt, texts | dict(numbers), [r for r in rows if r[shown.field] is not None])


def interval_chart(
    rows: Rows,
    label: str,
    value: str,
    alt: str,
    *,
    reference: float = 0.0,
    names: Mapping[str, str] | None = None,
) -> Chart:
    """Return intervals of the columns `label`, `series`, `value`, `low` and `high`."""
    texts = dict(names or {"label": label, "series": "of"})
    numbers = {"value": value, "low": "from", "high": "to"}
    known = [row for row in rows if row["value"] is not None]
    spec = estimates(known, Axis("value", value), Hover(texts, numbers), reference=reference)
    return Chart(spec, alt, texts | numbers, known)
