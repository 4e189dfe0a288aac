"""The page: plain about nulls, closed to the network and to markup from data."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import results
from neuron_atlas.report import build, metrics, page, plot_data, plots
from neuron_atlas.report.inputs import Results

ROOT = Path(__file__).parents[2]
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


def rendered(given: Results, title: str = "Neuron Atlas", *, pictures: bool = False) -> str:
    data = plot_data.plot_records(given) if pictures else {}
    images = {
        name: plots.svg(name, content, templates=ROOT / plots.TEMPLATES)
        for name, content in data.items()
    }
    content = metrics.metrics(given)["summary"]
    return page.render(given, content, images, title=title, top_neurons=3)


class Elements(HTMLParser):
    """Collects start tags with their attributes, the open tags and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


@pytest.fixture(scope="module")
def whole() -> str:
    return rendered(results.everything(), pictures=True)


def test_nothing_is_loaded_and_nothing_runs(whole: str) -> None:
    found = Elements(whole)
    assert not found.names() & {"script", "link", "iframe", "object", "embed", "base", "img", "use"}
    loaded = {"src", "srcset", "xlink:href", "data", "action", "background", "poster"}
    for tag, attributes in found.tags:
        assert not loaded & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "href" not in attributes or tag == "a", tag
    assert not re.search(r"url\((?!#)|@import", whole)
    assert "default-src 'none'" in whole


def test_the_same_results_give_the_same_bytes(whole: str) -> None:
    assert rendered(results.everything(), pictures=True) == whole


def test_every_plot_is_shown_with_a_description(whole: str) -> None:
    pictures = [a for tag, a in Elements(whole).tags if a.get("role") == "img"]
    assert len(pictures) == len(plots.PLOTS)
    assert all(picture["aria-label"] for picture in pictures)


def test_ids_are_unique(whole: str) -> None:
    ids = [attributes["id"] for _, attributes in Elements(whole).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_headings_do_not_skip_a_level(whole: str) -> None:
    levels = [int(tag[1]) for tag, _ in Elements(whole).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_text_from_data_is_shown_and_never_markup() -> None:
    given = results.everything((HOSTILE, "currency"))
    verdict = given.effects["verdicts"]["interference"] | {"because": HOSTILE}
    hostile = replace(
        given,
        fact_source=HOSTILE,
        provenance=given.provenance
        | {"source": HOSTILE, "licence": {"name": HOSTILE, "url": "javascript:alert(1)"}},
        relation_neurons=given.relation_neurons
        | {"skipped": [{"source": "en", "relation": HOSTILE, "reason": HOSTILE, "n_facts": 1}]},
        effects=given.effects | {"value": HOSTILE, "verdicts": {HOSTILE: verdict}},
    )
    text = rendered(hostile, HOSTILE, pictures=True)
    found = Elements(text)
    assert not found.names() & {"script", "img"}
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert "javascript:" not in text
    assert found.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in found.text


def test_a_null_is_said_plainly() -> None:
    text = Elements(rendered(results.everything())).text
    assert "Of 10 claims, 5 supported; 3 not supported; 2 undecided." in text
    assert "No cell improves after correction." in text
    assert "No evidence for this claim was found here: a null result." in text
    assert "too uncertain to decide" in text
    assert "no relation’s answers became more probable" in text


def test_an_improvement_that_survives_correction_is_listed() -> None:
    given = results.everything()
    off = (given.cells["relation"] == "capital") & (given.cells["measured"] == "currency")
    cells = given.cells.copy()
    cells.loc[off, ["excess", "q_value"]] = [1.25, 0.001]
    text = Elements(rendered(replace(given, cells=cells))).text
    assert "+1.25" in text
    assert "no relation’s answers became more probable" not in text


@pytest.mark.parametrize(("licence", "named"), [("Gemma Terms of Use", True), ("MIT", False)])
def test_gemma_terms_are_named_where_they_hold(licence: str, named: bool) -> None:
    given = results.everything()
    provenance = given.provenance | {"licence": {"name": licence}}
    text = rendered(replace(given, provenance=provenance))
    assert ("Gemma is provided under and subject to" in text) is named


def test_neurons_are_named_by_layer_and_index_with_massive_ones_marked() -> None:
    given = results.everything()
    content = metrics.metrics(given)["summary"]
    text = page.render(given, content, {}, title="t", top_neurons=results.K)
    assert ">0.0 (0.90)</span>" in text
    assert ">1.7 (0.83)†</span>" in text


def test_missing_parts_and_pictures_are_left_out() -> None:
    given = results.everything(("capital",), ("en",))
    effects = {key: value for key, value in given.effects.items() if key != "transfer"}
    text = rendered(replace(given, effects=effects))
    assert "<figure>" not in text
    assert "Across languages" not in text
    assert "1 relation asked in 1 language" in text


def test_each_verdict_on_knowledge_neurons_stands_in_its_section(whole: str) -> None:
    found = Elements(whole).text
    for claim in results.knowledge()["verdicts"]:
        assert found.count(f"Measured: {claim}.") == 2  # in the table of claims and in its section
    assert "neurons a fact" in found
    assert "area under the curve" in found


@pytest.mark.parametrize("word", ["supported", "not supported", "undecided"])
def test_a_section_shows_the_verdict_of_its_claim(word: str) -> None:
    given = results.everything()
    verdicts = {
        claim: verdict | {"verdict": word} for claim, verdict in given.knowledge["verdicts"].items()
    }
    text = rendered(replace(given, knowledge=given.knowledge | {"verdicts": verdicts}))
    shown = re.findall(r'<p><span class="verdict [\w-]+">([^<]+)</span> Measured', text)
    assert shown == [word] * len(verdicts)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("selection", "method"),
        ("language_map", "language"),
        ("editing", "arm"),
        ("edit_success", "arm"),
        ("degenerate", "language"),
        ("interactions", "kind"),
        ("detectors", "detector"),
    ],
)
def test_names_in_tables_on_knowledge_are_never_markup(table: str, column: str) -> None:
    given = results.everything()
    hostile = given.tables[table].assign(**{column: HOSTILE})
    given = replace(given, tables={**given.tables, table: hostile})
    found = Elements(rendered(given, pictures=True))
    assert not found.names() & {"script", "img"}
    assert "<script>alert(1)" in found.text


def test_figures_of_one_interval_have_as_many_digits() -> None:
    given = results.everything()
    table = given.tables["editing"].assign(mean=0.015, low=-0.25, high=0.25)
    tiny = table.assign(mean=0.015, low=-0.0025, high=0.03)
    wide, narrow = (
        rendered(replace(given, tables={**given.tables, "editing": t})) for t in (table, tiny)
    )
    assert '+0.01 <span class="interval">[−0.25, +0.25]</span>' in wide
    assert '+0.0150 <span class="interval">[−0.0025, +0.0300]</span>' in narrow


def test_a_place_that_was_not_measured_is_a_dash() -> None:
    given = results.everything()
    table = given.tables["editing"]
    kept = table[(table["arm"] == "joint") & (table["where"] == "same_language")]
    text = rendered(replace(given, tables={**given.tables, "editing": kept}))
    row = re.search(r"<code>joint</code></th><td>edit</td>(.*?)</tr>", text, re.DOTALL)
    assert row is not None
    assert row[1].count('<td class="n">–</td>') == 3


def test_a_section_gives_the_effect_its_interval_and_its_unit() -> None:
    given = results.everything()
    claim = "degenerate_neurons_exist"
    small = {"effect": 0.004, "low": 0.001, "high": 0.007, "p_value": 0.0004}
    found = given.knowledge["verdicts"][claim] | small
    verdicts = given.knowledge["verdicts"] | {claim: found}
    text = Elements(
        rendered(replace(given, knowledge=given.knowledge | {"verdicts": verdicts}))
    ).text
    assert "Effect: +0.0040 [+0.0010, +0.0070] share of pairs, p < 0.001." in text
    assert "Effect: +0.12 [−0.12, +0.38] nats, p = 0.01." in text
    assert "Effect: +0.12 [−0.12, +0.38] area under the curve, p = 0.01." in text


def test_a_fact_is_told_from_its_relation_and_too_few_pairs_are_said_to_be() -> None:
    text = Elements(rendered(results.everything())).text
    assert "share +1.50 [+1.25, +1.75] beyond those of two facts of its relation" in text
    assert "was not tested (too few pairs: 1, not 10)." in text
    assert "reach an area of 0.81 [0.56, 1.06]" in text
    assert "Cohen’s κ = 0.10" in text


def test_the_least_p_of_few_scripts_stands_beside_their_p() -> None:
    given = results.everything()
    section = given.knowledge["language_neurons"]
    scripts = {"same_script": 0.3, "different_script": 0.1, "script_p_value": 0.04}
    for least, said in (({}, False), ({"script_p_least": 0.03}, True)):
        known = given.knowledge | {"language_neurons": section | {"goes_with": scripts | least}}
        text = Elements(rendered(replace(given, knowledge=known))).text
        assert "(p = 0.04" in text
        assert ("cannot give less than 0.03" in text) is said


def test_the_published_ratio_is_shown_for_comparison_alone() -> None:
    given = results.everything()
    assert "3.50" in Elements(rendered(given)).text
    assert "shown only for comparison with the paper" in rendered(given)
    table = given.tables["selection"].assign(published_sr=float("nan"))
    none = rendered(replace(given, tables={**given.tables, "selection": table}))
    assert "3.50" not in Elements(none).text
    assert "nan" not in Elements(none).text


def test_one_language_is_said_to_be_too_few() -> None:
    given = results.everything(("capital",), ("en",))
    names = ("selection", "degenerate", "interactions", "detectors")
    kept = ("amig_beats_baselines", "degenerate_neurons_exist")
    alone = given.knowledge | {
        "language_neurons": {"n_facts": 0, "n_languages": 1, "reason": f"one language {HOSTILE}"},
        "editing": {"n_facts": 0, "languages": ["en"], "reason": "no fact in 2 languages"},
        "verdicts": {claim: given.knowledge["verdicts"][claim] for claim in kept},
    }
    few = replace(given, knowledge=alone, tables={name: given.tables[name] for name in names})
    found = Elements(rendered(few))
    assert f"Not measured: one language {HOSTILE}." in found.text
    assert "Not measured: no fact in 2 languages." in found.text
    assert not found.names() & {"script", "img"}
    drawn = {name for name, rows in plot_data.plot_records(few).items() if rows}
    assert not drawn & {"language_map", "language_counts", "language_layers", "editing"}
    assert metrics.metrics(few)["summary"]["editing"]["n_facts"] == 0


def test_what_was_not_measured_is_said_and_not_invented() -> None:
    given = results.everything()
    kept = {k: v for k, v in given.knowledge.items() if k not in ("editing", "language_neurons")}
    kept["verdicts"] = {"amig_beats_baselines": given.knowledge["verdicts"]["amig_beats_baselines"]}
    few = {name: given.tables[name] for name in ("selection", "detectors")}
    text = Elements(rendered(replace(given, knowledge=kept, tables=few), pictures=False)).text
    assert text.count("Not measured: this needs facts known in several languages.") == 2
    assert "Cross-lingual editing" not in text
    assert plot_data.plot_records(replace(given, tables=few))["editing"] == []


def test_top_neurons_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"report\.top_neurons must be at least 1, got 0"):
        page.render(results.everything(), {}, {}, title="t", top_neurons=0)


def test_the_stage_writes_metrics_plots_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = results.written(results.everything(), tmp_path / "data")
    shutil.copytree(ROOT / plots.TEMPLATES, tmp_path / plots.TEMPLATES)
    (tmp_path / "params.yaml").write_text(
        "languages: {en: {}, zh: {}}\nfacts: {source: builtin, seed: 1}\n"
        "report: {title: Atlas, top_neurons: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("stage", ROOT / "stages" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    outs = [tmp_path / name for name in ("metrics", "plots", "report")]
    stage.main(at, build.Outputs(*outs))
    names = {"summary", "facts", "recall", "relation_neurons", "interference", "knowledge"}
    names.add("verdicts")
    assert {path.stem for path in outs[0].iterdir()} == names
    assert {path.stem for path in outs[1].iterdir()} == set(plots.PLOTS)
    assert json.loads((outs[0] / "summary.json").read_text())["facts"]["source"] == "builtin"
    assert "<title>Atlas</title>" in (outs[2] / "index.html").read_text(encoding="utf-8")
