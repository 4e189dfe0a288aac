"""Charts of what each relation's neurons do to its own answers."""

from collections.abc import Mapping, Sequence

import pandas as pd

from neuron_atlas.pages.chart_forms import interval_chart
from neuron_atlas.pages.charts import Chart
from neuron_atlas.report import plot_data
from neuron_atlas.report.plot_data import CONTROL_NAMES

QUESTIONS = {"all": "all held-out questions", "right": "those answered right before"}
IN_LANGUAGES = ("push_matched", "other_set")  # the controls that are shown by language
EXCESS_TITLE = "change less the control's, nats"


def own_effects(table: pd.DataFrame) -> Chart:
    """Return each relation's own effect beyond each control, over all languages and questions."""
    rows = table[table["language"].isna() & (table["questions"] == "all")]
    return _own_intervals(
        rows[rows["part"] == "effect"].sort_values("relation", kind="stable"),
        {"label": ("relation", {}), "series": ("control", CONTROL_NAMES)},
        {"label": "relation", "series": "beyond"},
        "What each relation's neurons do to its own answers beyond each control, nats.",
    )


def relation_charts(
    table: pd.DataFrame, names: Sequence[str], languages: Sequence[str]
) -> dict[str, Chart]:
    """Return two charts of each relation, `own-<number>` and `languages-<number>` from 1.

    They show its effect on its own answers: beyond each control, and in each language.

    Args:
        table: The own effects of all relations.
        names: The relations in the order of the page.
        languages: The languages in the order of the run.
    """
    whole = table[table["part"] == "effect"]
    made: dict[str, Chart] = {}
    for number, name in enumerate(names, start=1):
        rows = whole[whole["relation"] == name]
        made |= {
            f"own-{number}": _own(rows, name),
            f"languages-{number}": _in_languages(rows, name, languages),
        }
    return made


def _own(rows: pd.DataFrame, name: str) -> Chart:
    joint = rows[rows["language"].isna()].sort_values("questions", key=_asked, kind="stable")
    return _own_intervals(
        joint,
        {"label": ("control", CONTROL_NAMES), "series": ("questions", QUESTIONS)},
        {"label": "beyond", "series": "asked"},
        f"What the neurons of {name} do to its own answers beyond each control, nats.",
    )


def _asked(questions: pd.Series) -> pd.Series:
    return questions.map(list(QUESTIONS).index)


def _in_languages(rows: pd.DataFrame, name: str, languages: Sequence[str]) -> Chart:
    some = rows[(rows["questions"] == "all") & rows["control"].isin(IN_LANGUAGES)]
    place = {code: number for number, code in enumerate(languages)}
    known = some[some["language"].notna()]
    return _own_intervals(
        known.sort_values("language", key=lambda codes: codes.map(place), kind="stable"),
        {"label": ("language", {}), "series": ("control", CONTROL_NAMES)},
        {"label": "language", "series": "beyond"},
        f"What the neurons of {name} do to its own answers in each language, nats.",
    )


def _own_intervals(
    rows: pd.DataFrame,
    columns: Mapping[str, tuple[str, Mapping[str, str]]],
    names: Mapping[str, str],
    alt: str,
) -> Chart:
    """Return intervals whose labels and series are columns, each with the words for its values."""
    named = rows.assign(
        **{
            new: rows[old].map(lambda v, w=words: w.get(v, v))
            for new, (old, words) in columns.items()
        }
    )
    found = plot_data.json_records(
        named.rename(columns={"excess": "value"}), [*columns, "value", "low", "high"]
    )
    return interval_chart(found, "", EXCESS_TITLE, alt, names=names)
