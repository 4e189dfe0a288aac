"""The page's charts: specifications that Vega-Lite takes, and what their parts name is there."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vl_convert

import results
from neuron_atlas.pages import intervals, maps, specs
from neuron_atlas.pages.charts import VEGA_LITE, Chart
from neuron_atlas.report import charts, matrix

LANGUAGES = ("en", "zh", "fr")


@pytest.fixture(scope="module")
def made() -> dict[str, Chart]:
    return charts.page_charts(results.everything(languages=LANGUAGES))


def fields(node: Any) -> set[str]:
    """Return every column that a specification names."""
    if isinstance(node, list):
        return set().union(*map(fields, node))
    if not isinstance(node, dict):
        return set()
    own = {node["field"]} if isinstance(node.get("field"), str) else set()
    return own.union(*(fields(child) for key, child in node.items() if key != "data"))


def test_every_chart_compiles_without_a_word_of_complaint(made: dict[str, Chart]) -> None:
    assert len(made) > 20
    for name, chart in made.items():
        compiled = vl_convert.vegalite_to_vega(json.dumps(chart.spec), vl_version=VEGA_LITE)
        assert compiled["marks"], name
        assert compiled["description"] == chart.alt


def test_what_a_chart_names_is_in_its_rows(made: dict[str, Chart]) -> None:
    for name, chart in made.items():
        rows = chart.spec["data"]["values"]
        columns = {key for row in rows for key in row} | {"reference", "zero"}
        columns |= {str(t["as"]) for t in chart.spec.get("transform", []) if "as" in t}
        assert fields(chart.spec) <= columns, name
        assert set(chart.columns) <= {key for row in chart.rows for key in row}, name


def test_a_legend_names_every_series_in_the_order_of_the_rows(made: dict[str, Chart]) -> None:
    point = made["doses"].spec["layer"][-1]["encoding"]
    assert point["color"]["scale"]["domain"][0] == "strongest first"
    assert point["color"]["scale"]["domain"][-1] == "random neurons of equal push"  # grey
    assert point["color"] == point["shape"]
    assert specs.series_channels(["all claims"], shape=True)["color"]["legend"] is None


def test_languages_stand_in_the_order_of_the_run(made: dict[str, Chart]) -> None:
    rows = made["languages-1"].spec["data"]["values"]
    assert list(dict.fromkeys(row["label"] for row in rows)) == list(LANGUAGES)
    choice = made["interference"].spec["params"][-1]["bind"]["options"]
    assert choice == ["all", *LANGUAGES]


def test_colours_of_effects_reach_as_far_below_0_as_above() -> None:
    assert matrix.around([-0.5, 0.25]) == (-0.5, 0.5)
    assert matrix.around([]) == (-1.0, 1.0)


def test_the_matrix_shows_excess_effect_or_random_neurons_of_one_part_and_language() -> None:
    """Its expressions are evaluated by Vega as a reader's browser does."""
    chart = matrix.matrix(results.cells_by_language(), results.cells(), results.LANGUAGES)
    rows = results.cells_by_language()
    for part, control, language in [
        ("effect", "beyond", "all"),
        ("effect_type", "set", "zh"),
        ("effect_later", "random", "en"),
    ]:
        chosen = {"part": part, "control": control, "language": language}
        some = rows[rows["language"].isna() if language == "all" else rows["language"] == language]
        set_, random = some[part], some[f"random_{part}"]
        expected = {"beyond": set_ - random, "set": set_, "random": random}[control]
        found = shown(chart, chosen)
        np.testing.assert_allclose([row["value"] for row in found], expected)
        outlined = [row for row in found if row["outlined"]]
        assert len(outlined) == (4 if language == "all" else 0)  # the cells with a small p


def shown(chart: Chart, chosen: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows of the cells, as Vega leaves them, with these choices."""
    params = [{"name": p["name"], "value": chosen[p["name"]]} for p in chart.spec["params"]]
    plain = {**chart.spec, "params": params, "width": 300, "layer": [chart.spec["layer"][0]]}
    label = "datum.value + '|' + datum.outlined"
    plain["layer"] = [
        {
            "transform": [{"calculate": label, "as": "said"}],
            "mark": "text",
            "encoding": {"text": {"field": "said"}},
        }
    ]
    image = vl_convert.vegalite_to_svg(json.dumps(plain), vl_version=VEGA_LITE)
    said = re.findall(r">(-?[\d.e-]+)\|(true|false)<", image)
    return [{"value": float(value), "outlined": flag == "true"} for value, flag in said]


def test_names_keep_their_places_where_nothing_was_measured() -> None:
    rows = [
        {"a": a, "b": b, "v": None if a == b else 1.0, "outlined": False}
        for a in ("x", "y")
        for b in ("x", "y")
    ]
    at = specs.Axis("a", "a"), specs.Axis("b", "b")
    spec = maps.heat_map(rows, *at, maps.Shown("v", "v"), specs.Hover())
    assert spec["encoding"]["y"]["scale"]["domain"] == ["x", "y"]


def test_long_labels_are_wrapped_and_never_cut() -> None:
    label = "other relations' neurons at equal push"
    lines = intervals.wrapped(label).split("\n")
    assert " ".join(lines) == label
    assert max(map(len, lines)) <= intervals.LABEL_WIDTH
    assert intervals.wrapped("") == ""
    assert intervals.wrapped("a" * 40) == "a" * 40


def test_nothing_measured_is_no_chart() -> None:
    given = results.everything()
    empty = {name: table.head(0) for name, table in given.tables.items()}
    none = pd.DataFrame()
    few = replace(
        given, tables=empty, doses=none, pushes=none, contrasts=none, own=given.own.head(0)
    )
    made = set(charts.page_charts(few))
    assert not made & {"doses", "pushes", "contrasts", "relations", "own-1", "editing"}
    assert {"recall", "layers", "interference"} <= made
