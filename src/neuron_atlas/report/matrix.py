"""The matrix of relations: whose neurons are off, what is asked; people choose what it shows."""

from collections.abc import Iterable, Sequence

import pandas as pd

from neuron_atlas.pages import specs
from neuron_atlas.pages.charts import Chart
from neuron_atlas.pages.maps import Shown, heat_map
from neuron_atlas.pages.specs import Axis, Hover
from neuron_atlas.report import plot_data
from neuron_atlas.report.plot_data import PART_NAMES, SIGNIFICANT, Records

ALL_LANGUAGES = "all"
BEYOND = {
    "beyond": "the excess over random neurons of equal push",
    "set": "the effect itself",
    "random": "the random neurons' effect",
}
EXCESS = {"excess": "excess, nats", "low": "from", "high": "to", "p_adjusted": "p, adjusted"}


def matrix(by_language: pd.DataFrame, cells: pd.DataFrame, languages: Sequence[str]) -> Chart:
    """Return the effects of each relation's neurons on each relation asked.

    People choose language, part of the answer and control. Colours mean the same for all choices.

    Args:
        by_language: Means of each cell by language; null for all languages.
        cells: The cells of all languages with intervals and adjusted p.
        languages: In the order of the run.
    """
    keys = ["relation", "measured"]
    tested = cells[[*keys, "excess", "low", "high", "p_adjusted"]].assign(language=ALL_LANGUAGES)
    named = by_language.assign(language=by_language["language"].fillna(ALL_LANGUAGES))
    rows = named.merge(tested, on=[*keys, "language"], how="left")
    numbers = [f"{start}{part}" for part in PART_NAMES for start in ("", "random_")]
    columns = [*keys, "language", *numbers, "n_facts", "low", "high", "p_adjusted", "excess"]
    listed = plot_data.json_records(rows, columns) if len(rows) else []
    measured = set(rows["language"])
    named_languages = {name: name for name in (ALL_LANGUAGES, *languages) if name in measured}
    texts = {"relation": "switched off", "measured": "asked"}
    more = {"value": "shown, nats", "without": "effect, nats", "by_random": "random's, nats"}
    spec = specs.with_choices(
        heat_map(
            _short(listed),
            Axis("measured", "relation asked"),
            Axis("relation", "relation switched off"),
            Shown("value", "nats", "+.2f", 0.0, around(tested["excess"]), "symlog"),
            Hover(texts | {"interval": "95 % interval", "n_facts": "facts"}, more),
        ),
        [
            specs.choice("part", "Of the answer:", PART_NAMES),
            specs.choice("control", "Shown:", BEYOND),
            specs.choice("language", "Language:", named_languages, select=True),
        ],
        _CHOSEN,
    )
    table = [row for row in listed if row["language"] == ALL_LANGUAGES]
    columns_shown = texts | {"effect": "effect, nats", "random_effect": "random"} | EXCESS
    return Chart(spec, "Effects of one relation's neurons on another, nats.", columns_shown, table)


def _short(rows: Records) -> Records:
    """Return the cells without what the table of numbers alone shows."""
    return [
        {key: value for key, value in row.items() if key != "excess" and value is not None}
        for row in rows
    ]


_AS_TESTED = f"part === 'effect' && control === 'beyond' && language === '{ALL_LANGUAGES}'"
_CHOSEN = [
    {"filter": "datum.language === language"},
    {"calculate": "datum[part]", "as": "without"},
    {"calculate": "datum['random_' + part]", "as": "by_random"},
    {
        "calculate": "control === 'beyond' ? datum.without - datum.by_random : "
        "control === 'set' ? datum.without : datum.by_random",
        "as": "value",
    },
    {"calculate": f"{_AS_TESTED} && datum.p_adjusted < {SIGNIFICANT}", "as": "outlined"},
    {
        "calculate": f"{_AS_TESTED} && isValid(datum.low) ? format(datum.low, '+.2f') + ' to ' + "
        "format(datum.high, '+.2f') : 'not for this choice'",
        "as": "interval",
    },
]


def around(values: Iterable[float]) -> tuple[float, float]:
    """Return where colours begin and end: as far below 0 as above."""
    largest = max((abs(one) for one in values), default=0.0) or 1.0
    return -largest, largest
