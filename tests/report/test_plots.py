"""The plots: records that fit their templates, drawn the same each time."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import vl_convert
from dvc_render.vega import VegaRenderer

import results
from neuron_atlas.pipeline.params import read_yaml
from neuron_atlas.report import plot_data, plots

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / plots.TEMPLATES
ANCHORS = {"DATA", "TITLE", "X", "Y", "X_LABEL", "Y_LABEL"}
ADDED_BY_DVC = {"rev"}
VEGA_LITE = "5.8"  # DVC's own page loads 5.2; this is the closest version installed


@pytest.fixture(scope="module")
def data() -> dict[str, plot_data.Records]:
    return plot_data.plot_records(results.everything())


def template(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (TEMPLATES / f"{plots.PLOTS[name].template}.json").read_text(encoding="utf-8")
    )
    return content


def drawn(name: str, records: plot_data.Records) -> str:
    """Draw a plot as an image, with the template and in the way of `dvc plots show`."""
    plot = plots.PLOTS[name]
    keys = ("x", "y", "title", "x_label", "y_label")
    renderer = VegaRenderer(
        [{**record, "rev": ""} for record in records],
        name,
        template=plot.template,
        template_dir=str(TEMPLATES),
        **{key: getattr(plot, key) for key in keys},
    )
    image = vl_convert.vegalite_to_svg(renderer.get_filled_template(), vl_version=VEGA_LITE)
    return str(image)


def fields(node: Any) -> set[str]:
    """Return every column that a template names: encoded, or read by an expression."""
    if isinstance(node, list):
        return set().union(*map(fields, node))
    if not isinstance(node, dict):
        return (
            set(re.findall(r"datum\.(\w+)", node)) - {"label"} if isinstance(node, str) else set()
        )
    own = {node["field"]} if isinstance(node.get("field"), str) else set()
    return own.union(*(fields(child) for child in node.values()))


def calculated(node: Any) -> set[str]:
    """Return the columns that a template makes itself."""
    return set(re.findall(r'"as": "(\w+)"', json.dumps(node)))


def test_every_plot_has_data_and_a_template(data: dict[str, plot_data.Records]) -> None:
    assert set(data) == set(plots.PLOTS)


@pytest.mark.parametrize("name", sorted(plots.PLOTS))
def test_records_hold_what_the_template_shows(
    name: str, data: dict[str, plot_data.Records]
) -> None:
    named = fields(template(name)) - calculated(template(name)) - ADDED_BY_DVC
    columns = {name for name in named if not name.startswith("<")}
    columns |= {plots.PLOTS[name].x, plots.PLOTS[name].y}
    assert data[name]
    assert all(columns <= set(record) for record in data[name])
    assert len({tuple(record) for record in data[name]}) == 1  # DVC drops lists of unlike records


@pytest.mark.parametrize("name", sorted(plots.PLOTS))
def test_templates_use_every_anchor_that_dvc_fills(name: str) -> None:
    assert set(re.findall(r"<DVC_METRIC_(\w+)>", json.dumps(template(name)))) == ANCHORS


@pytest.mark.parametrize("name", sorted(plots.PLOTS))
def test_no_record_uses_a_name_that_dvc_overwrites(
    name: str, data: dict[str, plot_data.Records]
) -> None:
    assert not {"rev", "filename", "field"} & set(data[name][0])


@pytest.mark.parametrize("name", sorted(plots.PLOTS))
def test_the_image_holds_title_and_labels(name: str, data: dict[str, plot_data.Records]) -> None:
    image = drawn(name, data[name])
    shown = {
        **{"recall": "capital", "consistency": "zh", "transfer": "zh", "doses": "random order"},
        **{"selection": "zero_ig", "language_map": "zh", "language_counts": "at least 2"},
        **{"language_layers": "neurons a fact", "editing": "sequential"},
        **{
            "contrasts": "first token given type",
            "interactions": "random pair",
            "detectors": "candidate_log_odds",
        },
    }
    assert image.startswith("<svg")
    assert escape(plots.PLOTS[name].title, quote=False) in image
    assert plots.PLOTS[name].x_label in image
    assert f">{shown.get(name, 'currency')}<" in image
    assert "DVC_METRIC" not in image


def test_labels_are_text_in_the_image() -> None:
    cells = results.cells(("<script>alert(1)</script>", "b"))
    image = drawn("interference", plot_data.interference(cells))
    assert "<script" not in image
    assert "&lt;script&gt;" in image


def test_the_row_of_all_relations_stands_first(data: dict[str, plot_data.Records]) -> None:
    assert [record["relation"] for record in data["recall"]][:3] == ["all", "all", "capital"]


def test_layers_count_every_neuron_and_show_the_even_spread() -> None:
    found = plot_data.layers(results.sets(), results.N_LAYERS)
    assert len(found) == 3 * results.N_LAYERS
    assert sum(record["neurons"] for record in found) == 3 * results.K
    assert {record["chance"] for record in found} == {float(f"{results.K / 6:.6g}")}


def test_overlap_is_symmetric_in_multiples_of_chance() -> None:
    found = {
        (r["relation"], r["compared_with"]): r
        for r in plot_data.overlap(results.found()["overlap"])
    }
    assert found["continent", "currency"]["value"] == 2 / 0.4
    assert found["currency", "continent"] | {"relation": "", "compared_with": ""} == found[
        "continent", "currency"
    ] | {"relation": "", "compared_with": ""}
    assert found["currency", "currency"]["value"] is None
    assert found["continent", "currency"]["significant"] is True
    assert found["capital", "continent"]["significant"] is False


def test_consistency_is_the_mean_over_relations() -> None:
    found = plot_data.consistency(results.consistency()["languages"])
    assert [r["value"] for r in found] == [None, 0.5, 0.5, None]


def test_only_what_survives_correction_is_outlined_in_the_map_of_languages() -> None:
    table = results.tables(("en", "zh", "fr"))["language_map"]
    known = table["language"] == "en"
    given = table.assign(significant=known)
    given = given[(given["language"] != "zh") | (given["compared_with"] != "en")]
    found = {
        (r["language"], r["compared_with"]): r
        for r in plot_data.knowledge_plot("language_map", {"language_map": given})
    }
    assert len(found) == 9
    assert {pair for pair, r in found.items() if r["outlined"]} == {("en", "zh"), ("en", "fr")}
    assert found["zh", "en"]["value"] is None
    assert found["zh", "en"]["note"] == ""


def test_a_null_stands_beside_each_count_of_languages(data: dict[str, plot_data.Records]) -> None:
    found = {(r["label"], r["series"]): r["value"] for r in data["language_counts"]}
    assert found["at least 2", "observed"] == 4.5
    assert found["at least 3", "mismatched"] == 0.333333
    assert {series for _, series in found} == {"observed", "mismatched", "same_relation", "random"}


def test_estimates_keep_their_intervals_and_the_line_of_chance() -> None:
    tables = results.tables()
    detectors = plot_data.knowledge_plot("detectors", tables)
    assert [r["label"] for r in detectors] == 2 * list(results.DETECTORS)
    assert {(r["low"], r["high"], r["reference"]) for r in detectors} == {(0.6, 0.9, 0.5)}
    selection = plot_data.knowledge_plot("selection", tables)
    assert len(selection) == 3 * len(results.METHODS)  # what happens to the fact alone
    assert {(r["low"], r["high"], r["reference"]) for r in selection} == {(0.25, 0.75, 0.0)}


def test_what_was_not_measured_has_no_records() -> None:
    empty = {name: table.head(0) for name, table in results.tables().items()}
    for name in plot_data.KNOWLEDGE:
        assert plot_data.knowledge_plot(name, {}) == plot_data.knowledge_plot(name, empty) == []


def test_interactions_stand_on_an_axis_of_numbers(data: dict[str, plot_data.Records]) -> None:
    assert [r["interaction"] for r in data["interactions"]] == 3 * [-0.5, 0.0, 0.5]
    assert {r["series"] for r in data["interactions"]} == {"pair", "control", "random pair"}


def test_an_effect_is_significant_by_its_corrected_p() -> None:
    cells = results.cells().assign(p_adjusted=0.05)
    assert not any(record["significant"] for record in plot_data.interference(cells))
    assert all(r["significant"] for r in plot_data.interference(cells.assign(p_adjusted=0.049)))


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    plots.write(tmp_path / "doses.json", plot_data.doses(results.doses()))
    row = json.loads((tmp_path / "doses.json").read_text())[0]
    assert row == {
        "order": "strongest first",
        "k": 1,
        "share": 0.125,
        "effect": -1.06066,
        "low": -1.26066,
        "high": -0.86066,
    }


def test_no_records_are_an_empty_list(tmp_path: Path) -> None:
    plots.write(tmp_path / "overlap.json", plot_data.overlap([]))
    assert json.loads((tmp_path / "overlap.json").read_text()) == []


def domains(node: Any) -> list[list[str]]:
    """Return every list of series that a template colours."""
    if isinstance(node, list):
        return [found for child in node for found in domains(child)]
    if not isinstance(node, dict):
        return []
    own = [node["domain"]] if isinstance(node.get("domain"), list) else []
    return own + [found for child in node.values() for found in domains(child)]


def test_the_orders_of_doses_are_those_that_the_template_colours() -> None:
    coloured = domains(template("doses"))
    assert coloured
    assert all(names == list(plot_data.ORDERS.values()) for names in coloured)
    drawn = {record["order"] for record in plot_data.doses(results.doses())}
    assert drawn == set(plot_data.ORDERS.values())


def test_contrasts_show_right_answers_by_control_and_part() -> None:
    found = {
        (r["label"], r["series"]): r["value"] for r in plot_data.contrasts(results.contrasts())
    }
    assert len(found) == len(results.CONTROLS) * len(results.PARTS)
    assert found["random direction of equal push", "type"] == -0.25
    assert found["other relations' neurons at equal push", "first token given type"] == -0.375
    assert plot_data.contrasts(results.contrasts(("all",))) == []


def test_nothing_measured_is_nothing_drawn() -> None:
    assert plot_data.contrasts(pd.DataFrame()) == plot_data.doses(pd.DataFrame()) == []


def test_an_unknown_order_is_refused() -> None:
    table = pd.DataFrame([{"order": "by name", "k": 1}])
    with pytest.raises(ValueError, match=r"order must be one of .*got \['by name'\]"):
        plot_data.doses(table)


def test_dvc_shows_the_same_plots() -> None:
    if not (ROOT / "dvc.yaml").exists():
        pytest.skip("dvc.yaml is not there yet")
    shown: dict[str, dict[str, str]] = {}
    for entry in read_yaml(ROOT / "dvc.yaml").get("plots", []):
        shown |= {Path(path).stem: dict(keys) for path, keys in entry.items()}
    ours = {name: vars(plot) for name, plot in plots.PLOTS.items()}
    assert {name: shown.get(name) for name in ours} == ours
