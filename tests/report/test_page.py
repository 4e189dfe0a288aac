"""The page: plain about nulls, closed to the network and to markup from data."""

import importlib.util
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import markupsafe
import pandas as pd
import pytest

import results
from neuron_atlas.pages import shell
from neuron_atlas.report import (
    build,
    charts,
    claims,
    data_card,
    metrics,
    page,
    plot_data,
    plots,
)
from neuron_atlas.report.inputs import Results
from neuron_atlas.verdicts.questions import QUESTIONS
from neuron_atlas.verdicts.verdict import Word

ROOT = Path(__file__).parents[2]
DATA = ("application/json", "text/plain")  # kinds of blocks that no browser runs
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


def rendered(given: Results, title: str = "Neuron Atlas", *, pictures: bool = False) -> str:
    drawn = charts.page_charts(given) if pictures else {}
    content = metrics.metrics(given)["summary"]
    return page.render(given, content, drawn, title=title, top_neurons=3)


class Elements(HTMLParser):
    """Collects start tags with their attributes, scripts, and the text outside of these."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    def foreign(self) -> list[str]:
        """What only a text that became markup could bring: a page has nothing of it by itself."""
        closed = {"link", "iframe", "object", "embed", "base", "img", "use", "svg", "b-mark"}
        kinds = [a.get("type") for tag, a in self.tags if tag == "script"]
        ours = {one.text for one in page.scripts(results.everything())}
        pairs = zip(kinds, self.scripts, strict=True)
        code = [text for kind, text in pairs if kind not in DATA and text not in ours]
        handlers = [name for _, a in self.tags for name in a if name.startswith("on")]
        return [*(self.names() & closed), *code, *handlers]

    def data(self, name: str) -> Any:
        """The content of a block of JSON."""
        ids = [a.get("id") for tag, a in self.tags if tag == "script"]
        return json.loads(self.scripts[ids.index(name)])


@pytest.fixture(scope="module")
def whole() -> str:
    return rendered(results.everything(), pictures=True)


def test_nothing_is_loaded_and_only_the_page_s_own_scripts_run(whole: str) -> None:
    found = Elements(whole)
    assert not found.foreign()
    loaded = {"src", "srcset", "xlink:href", "data", "action", "background", "poster"}
    for tag, attributes in found.tags:
        assert not loaded & set(attributes), tag
        assert "href" not in attributes or tag == "a", tag
    [styles] = re.findall(r"<style>(.*?)</style>", whole.split("</head>")[0], re.DOTALL)
    assert not re.search(r"url\((?!\"?data:)|@import", styles)
    [policy] = [a["content"] for _, a in found.tags if "http-equiv" in a]
    assert policy == shell.policy(page.scripts(results.everything()))


def test_the_same_results_give_the_same_bytes(whole: str) -> None:
    assert rendered(results.everything(), pictures=True) == whole


def test_every_chart_is_shown_with_a_description_and_its_numbers(whole: str) -> None:
    pictures = {
        str(a["data-chart"]): str(a["aria-label"])
        for tag, a in Elements(whole).tags
        if "data-chart" in a and tag == "div"
    }
    made = charts.page_charts(results.everything())
    assert pictures == {f"chart-{name}": chart.alt for name, chart in made.items()}
    assert set(plots.PLOTS) <= set(made)
    assert len(set(pictures.values())) == len(pictures)
    for alt in pictures.values():
        numbers = whole.split(f'aria-label="Numbers: {markupsafe.escape(alt)}"')[1].split(
            "</table>"
        )[0]
        assert numbers.count("<tr>") > 1


def test_every_link_within_the_page_has_its_place(whole: str) -> None:
    found = Elements(whole)
    ids = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    links = {str(a["href"])[1:] for tag, a in found.tags if tag == "a" and "#" in str(a["href"])}
    cards = {link for link in links if re.fullmatch(r"n=\d+\.\d+", link)}
    assert links - cards <= ids
    assert cards
    assert {"relation-capital", "matrix", "main"} <= links


def test_without_a_card_there_is_no_explorer(whole: str) -> None:
    for text, there in (
        (whole, True),
        (rendered(replace(results.everything(), cards=None)), False),
    ):
        found = Elements(text)
        assert ("explorer" in {a.get("id") for _, a in found.tags}) is there
        assert ("explorer-neurons" in {a.get("id") for _, a in found.tags}) is there
        assert any("openDataTables" in code for code in found.scripts) is there
        assert ('href="#explorer"' in text) is there


def test_each_claim_links_to_its_evidence(whole: str) -> None:
    judged = [key for key in claims.CLAIMS if f'<li id="claim-{key}">' in whole]
    assert set(claims.CLAIMS) - set(judged) <= {"average_precision_beats_other_selectors"}
    for key in judged:
        link = f'<a href="#{claims.CLAIMS[key].evidence}">The evidence'
        assert link in of_claim(whole, key), key


def test_contents_name_the_sections_in_their_order(whole: str) -> None:
    sections = re.findall(r'<section\b[^>]* aria-labelledby="([\w-]+)"', whole)
    nav = whole.split("<nav")[1].split("</nav>")[0]
    assert re.findall(r'href="#([\w-]+)"', nav) == sections


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
        contrasts=given.contrasts.assign(control=HOSTILE),
        pushes=given.pushes.assign(order=HOSTILE),
        effects=given.effects
        | {
            "value": HOSTILE,
            "contrasts": {HOSTILE: {HOSTILE: given.effects["contrasts"]["right"]["direction"]}},
            "verdicts": {HOSTILE: verdict, "interference": verdict | {"reason": f"w{HOSTILE}"}},
        },
    )
    text = rendered(hostile, HOSTILE, pictures=True)
    found = Elements(text)
    assert not found.foreign()
    assert "javascript:" not in text
    assert found.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in found.text


def test_a_null_is_said_plainly() -> None:
    text = Elements(rendered(results.everything())).text
    counts = "4 supported; 1 contradicted; 3 not supported; 2 undecided; 2 untestable."
    assert f"Of 12 claims, {counts}" in text
    assert "No cell improves after correction." in text
    for sentence in claims.VERDICT_SENTENCES.values():
        assert sentence in text
    assert "no relation’s answers became more probable" in text


def test_what_is_untestable_gives_its_reason_and_no_number() -> None:
    given = results.everything()
    text = rendered(given)
    shown = Elements(text).text
    for reason in (results.NO_FACTS, f"T{results.TOO_COARSE[1:]}"):
        assert shown.count(f"{reason}.") == 3  # twice with the claim, and in its section
    figures = of_claim(text, "versatility_relations").split('class="figures"')[1]
    assert "no effect measured" in figures
    assert re.findall(r"<dd>([^<]*)</dd>", figures) == 3 * ["–"]
    other = given.effects["verdicts"]["versatility_relations"] | {"because": "Nothing is there."}
    verdicts = given.effects["verdicts"] | {"versatility_relations": other}
    shown = Elements(rendered(replace(given, effects=given.effects | {"verdicts": verdicts}))).text
    assert f"Nothing is there. {results.NO_FACTS}." in shown


def of_claim(text: str, name: str) -> str:
    """The part of the page about one claim, in the list of claims."""
    return text.split(f'<li id="claim-{name}">')[1].split("</li>")[0]


def test_p_over_all_claims_stands_beside_the_raw_one() -> None:
    part = of_claim(rendered(results.everything()), "versatility_languages")
    figures = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", part.split('class="figures"')[1])
    assert dict(figures) == {
        "smallest it would find": "0.35",
        "p": "0.004",
        "p over all claims (Holm)": "0.04",
    }


def test_the_page_says_what_a_push_is_and_what_it_does(whole: str) -> None:
    text = Elements(whole).text
    assert "A push is how far a change of neurons moves the residual stream" in text
    assert "controls that push equally hard" in text
    part = whole.split('aria-label="Push and effect"')[1].split("</table>")[0]
    assert part.count("<tr>") == 1 + len(results.pushes())
    assert ">500.0</td>" in part  # twice the set's
    assert part.count("−4.00</td>") == part.count("−1.00</td>") == 3  # per 1,000


def test_effects_beyond_each_control_are_in_a_table(whole: str) -> None:
    part = whole.split('aria-label="Effect beyond each control"')[1].split("</table>")[0]
    assert part.count("<tr>") == 1 + 4 * len(results.CONTROLS)
    assert "250.0, 83.5" in part
    for name in (
        "answer, beyond",
        "first token given type, beyond",
        "later tokens, beyond",
        "block 0",
    ):
        assert name in part
    assert part.count('−0.25 <span class="interval">[−0.50, +0.00]</span>') == 16


def test_answers_that_change_sides_are_counted(whole: str) -> None:
    part = whole.split('aria-label="Answers that change sides"')[1].split("</table>")[0]
    assert part.count("<tr>") == 4
    assert '>120</td><td class="n">18</td><td class="n">4</td>' in part


def test_both_conditions_of_recall_are_shown_by_language() -> None:
    given = results.everything()
    right = given.demonstrated["zh"].assign(correct=True)
    text = rendered(replace(given, demonstrated={**given.demonstrated, "zh": right}))
    part = text.split('aria-label="Recall with and without demonstrations"')[1].split("</table>")[0]
    assert '<code>zh</code></th><td class="n">18</td><td class="n">0.33</td><td class="n">1.00' in (
        part
    )
    none = {code: table.head(0) for code, table in given.demonstrated.items()}
    assert "with and without demonstrations" not in rendered(replace(given, demonstrated=none))


def test_popularity_is_shown_where_the_source_tells_it(whole: str) -> None:
    assert "Popularity of subjects" not in whole
    given = results.everything()
    table = given.recall["zh"].assign(correct=True)
    views = {fact: float(i) for i, fact in enumerate(table["fact"].unique())}
    zh = {**given.facts["zh"], "popularity": views}
    changed = replace(given, facts={**given.facts, "zh": zh}, recall={**given.recall, "zh": table})
    text = rendered(changed)
    part = text.split('aria-label="Popularity of subjects and recall"')[1].split("</table>")[0]
    assert f'<code>zh</code></th><td class="n">{len(views)}</td>' in part
    assert '<td class="n">none</td><td class="n">none</td></tr>' in part  # all are right
    assert part.count("<tr>") == 2
    assert set(metrics.metrics(changed)["recall"]["popularity"]) == {"zh"}
    assert "popularity" not in metrics.metrics(given)["recall"]


def test_a_language_without_anything_to_measure_is_named_with_the_reason(whole: str) -> None:
    assert "is left out" not in Elements(whole).text
    given = results.everything()
    assert "left_out" not in metrics.metrics(given)["summary"]["facts"]
    wrong = given.recall["zh"].assign(correct=False, known=False)
    unknown = replace(given, recall={**given.recall, "zh": wrong})
    unscored = replace(given, sets=given.sets[given.sets["source"] != "zh"])
    for changed, why in ((unknown, "answers no prompt right"), (unscored, "enough right answers")):
        said = metrics.metrics(changed)["summary"]["facts"]["left_out"]
        assert list(said) == ["zh"]
        assert why in said["zh"]
        assert f"<code>zh</code> is left out {said['zh']}; what joins languages" in rendered(
            changed
        )
        card = data_card.render_card(changed, title="Card")
        assert card.count("Notice: left out") == 1
        assert said["zh"] in card.split("<code>zh</code></h2>")[1]


def test_an_improvement_that_survives_correction_is_listed() -> None:
    given = results.everything()
    off = (given.cells["relation"] == "capital") & (given.cells["measured"] == "currency")
    cells = given.cells.copy()
    cells.loc[off, ["excess", "p_adjusted"]] = [1.25, 0.001]
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
    assert '<a class="neuron" href="#n=0.0">0:0 (0.90)</a>' in text
    assert ">1:7 (0.83)†</a>" in text


def test_missing_parts_and_pictures_are_left_out() -> None:
    given = results.everything(("capital",), ("en",))
    effects = {key: value for key, value in given.effects.items() if key != "transfer"}
    few = {k: v for k, v in effects["interference"].items() if k not in ("within", "random")}
    effects |= {"interference": few, "cumulativity": {}, "flips": {}, "contrasts": {}}
    none = {"contrasts": pd.DataFrame(), "pushes": pd.DataFrame(), "doses": pd.DataFrame()}
    text = rendered(replace(given, effects=effects, **none))
    assert "<figure>" not in text
    assert "Push and effect" not in text
    assert "1 relation asked in 1 language" in text


def test_each_verdict_on_knowledge_neurons_stands_in_its_section(whole: str) -> None:
    found = Elements(whole).text
    for claim in results.knowledge()["verdicts"]:
        assert found.count(f"Measured: {claim}.") == 2  # in the table of claims and in its section
    assert "neurons a fact" in found
    assert "area under the curve" in found


def test_it_is_said_which_languages_miss_the_tolerance() -> None:
    given = results.everything()

    def text(missed: list[str]) -> str:
        about = given.knowledge["attribution"] | {"misses_tolerance": missed}
        return Elements(
            rendered(replace(given, knowledge=given.knowledge | {"attribution": about}))
        ).text

    assert "By itself zh misses the tolerance of 1.00 %" in text(["zh"])
    assert "By themselves en, zh miss the tolerance" in text(["en", "zh"])
    assert "Each language by itself meets the tolerance of 1.00" in text([])


def test_attribution_methods_stand_beside_exact_ablation(whole: str) -> None:
    found = " ".join(Elements(whole).text.split())
    assert "12 prompts of 9 known facts of 3 relations" in found
    assert "that measure favours these two; the tables here do not" in found
    assert "Without relp: no rules of relevance propagation for 'bert'." in found
    for name in results.ATTRIBUTION[1:]:
        assert found.count(f"{name}zero+0.25 [+0.12, +0.38]0.020.20") == 1


def test_attribution_methods_that_were_not_compared_say_why() -> None:
    given = results.everything()
    section = {"absent": {}, "reason": f"needs known facts {HOSTILE}"}
    known = given.knowledge | {"attribution_methods": section}
    tables = {n: t for n, t in given.tables.items() if not n.startswith("attribution_methods")}
    found = Elements(rendered(replace(given, knowledge=known, tables=tables)))
    assert f"Not measured: needs known facts {HOSTILE}." in found.text
    assert not found.foreign()


WORDS = get_args(Word)


@pytest.mark.parametrize("word", WORDS)
def test_a_section_shows_the_verdict_of_its_claim(word: str) -> None:
    given = results.everything()
    verdicts = {
        claim: verdict | {"verdict": word} for claim, verdict in given.knowledge["verdicts"].items()
    }
    text = rendered(replace(given, knowledge=given.knowledge | {"verdicts": verdicts}))
    shown = re.findall(
        r'class="judged"><span class="verdict ([\w-]+)">([^<]+)</span> <b>[^<]+</b> Measured', text
    )
    assert shown == [(word.replace(" ", "-"), word)] * len(verdicts)
    assert text.count(f"<p>{claims.VERDICT_SENTENCES[word]}") >= len(verdicts)


def test_every_word_has_its_sentence_and_its_colour() -> None:
    assert set(claims.VERDICT_SENTENCES) == set(WORDS)
    style = (shell.FOLDER / "style.css").read_text(encoding="utf-8")
    coloured = set(re.findall(r"\.verdict\.([\w-]+)", style))
    assert coloured == {word.replace(" ", "-") for word in WORDS} - {"undecided"}  # as it is


VEGA = {"vega-embed", "vega-bind-name"}  # classes that Vega-Embed gives


def test_every_class_of_the_style_is_used(whole: str) -> None:
    style = (shell.FOLDER / "style.css").read_text(encoding="utf-8")
    pages = [path.read_text(encoding="utf-8") for path in shell.FOLDER.glob("*.j2")]
    words = {w.replace(" ", "-") for w in (*WORDS, "worse", "better")}
    named = set(re.findall(r"\.([a-z][a-z-]+)", style)) - words - VEGA
    used = {
        name
        for text in (*pages, whole)
        for part in re.findall(r'class="([^"]+)"', text)
        for name in part.split()
    }
    assert named
    assert named <= used


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("selection", "method"),
        ("attribution_methods", "method"),
        ("attribution_methods_minus", "rival"),
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
    assert not found.foreign()
    assert "<script>alert(1)" in found.text


def test_names_in_charts_are_never_markup() -> None:
    given = results.everything(languages=(HOSTILE, "zh"))
    found = Elements(rendered(given, pictures=True))
    assert not found.foreign()
    for name in ("recall", "transfer", "language_map"):
        assert HOSTILE in found.data(f"chart-{name}")["data"]["values"][0].values()


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
    kept = table[(table["arm"] == "joint") & (table["where"] == "reliability")]
    text = rendered(replace(given, tables={**given.tables, "editing": kept}))
    row = re.search(r"<code>joint</code></th><td>edit</td>(.*?)</tr>", text, re.DOTALL)
    assert row is not None
    assert row[1].count('<td class="n">–</td>') == 8


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


def test_a_claim_says_what_was_tested_against_what_and_what_the_paper_says() -> None:
    text = Elements(rendered(results.everything())).text
    assert set(QUESTIONS) == set(claims.CLAIMS)
    asked = [QUESTIONS[claim] for claim in results.everything().verdicts]
    assert len(asked) == 12
    for one in asked:
        for said in (one.tested, one.against, one.published):
            assert said in text
    assert "An effect of 0.35 share of pairs, in 80 of 100 such runs" in text
    assert "2 of 20 relations in a language have degenerate neurons; 10" in text


def test_a_fact_is_told_from_its_relation_and_too_few_pairs_are_said_to_be() -> None:
    text = Elements(rendered(results.everything())).text
    assert "two languages share 4.50 of a fact and 3.00 of two facts of its relation" in text
    assert "of two with one answer 3.75." in text
    assert "was not tested (too few pairs: 1, not 10)." in text
    assert "reach an area of 0.81 [0.56, 1.06]" in text
    assert "Cohen’s κ = 0.10" in text


def test_language_specific_neurons_are_shown_with_what_they_were_compared_with() -> None:
    given = results.everything()
    text = Elements(rendered(given)).text
    assert "7 neurons are active in one language or in few" in text
    assert "(1 are counted in a second one)" in text
    for shown in ("−0.250", "−0.062", "25\N{NARROW NO-BREAK SPACE}% of 4", "−0.013"):
        assert shown in text
    assert "a text stands its answer" not in text
    section = given.knowledge["language_specific"] | {"measured": "answer", "texts": "files"}
    known = given.knowledge | {"language_specific": section}
    other = Elements(rendered(replace(given, knowledge=known))).text
    assert "for a text stands its middle token" in other
    assert "on half of the lines of the given files" in other


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
    assert not re.search(r"\bnan\b", Elements(none).text)


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
    assert not found.foreign()
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
    (tmp_path / "params.yaml").write_text(
        "languages: {en: {}, zh: {}}\nfacts: {source: builtin}\n"
        "seed: 0\nreport: {title: Atlas, top_neurons: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("stage", ROOT / "stages" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    names = ("metrics", "plots", "report/index.html", "report/facts.html")
    outs = [tmp_path / name for name in names]
    stage.main(at, build.Outputs(*outs))
    written = {"summary", "facts", "recall", "relation_neurons", "interference", "knowledge"}
    assert {path.stem for path in outs[0].iterdir()} == written | {"verdicts", "headline"}
    assert {path.stem for path in outs[1].iterdir()} == set(plots.PLOTS)
    assert json.loads((outs[0] / "summary.json").read_text())["facts"]["source"] == "builtin"
    text = outs[2].read_text(encoding="utf-8")
    assert "<title>Atlas</title>" in text
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "facts.html"}
    assert Elements(text).data("provenance")["languages"] == list(results.LANGUAGES)
    assert "capital:S0 is" in Elements(text).text  # an example


def test_what_does_not_exceed_chimeras_is_named_by_measure(whole: str) -> None:
    text = " ".join(Elements(whole).text.split())
    assert "The average precision on held-out facts is not beyond chimeras’ (p > 0.05) for" in text
    assert "The overlap of sets from two halves" not in text


def test_the_selector_whose_neurons_answers_need_is_named() -> None:
    def found(necessity_high: float | None, specificity_high: float | None) -> dict[str, Any]:
        ends = {"necessity_high": necessity_high, "specificity_high": specificity_high}
        return {"necessity_excess": -1.0, **ends}

    both = {"one_way": found(-0.1, -0.1), "stronger": {**found(-0.1, -0.1), "necessity_excess": -2}}
    sets = {"k": 100, "n_layers": 18, "n_neurons": 2048}
    needed = page._needed(both, sets)
    assert needed["name"] == "stronger"
    assert needed["chance"] == pytest.approx(100 / (2 * 18 * 2048), rel=0.02)
    assert page._needed({"a": found(-0.1, 0.1), "b": found(0.1, -0.1)}, sets) is None
    assert page._needed({"left_out": found(-0.1, None)}, sets) is None
    assert page._needed({}, sets) is None


def test_what_answers_need_is_said_with_both_controls() -> None:
    given = results.everything()
    ends = {"necessity_low": -2.0, "necessity_high": -0.5, "specificity_low": -1.9}
    one = {**ends, "specificity_high": -0.4, "jaccard": 0.25, "cost": "a pass"}
    one |= {"necessity_excess": -1.25, "specificity_excess": -1.125}
    summary = metrics.metrics(given)["summary"] | {"selectors": {"one_way": one}}
    shown = page.render(given, summary, {}, title="t", top_neurons=3)
    text = " ".join(Elements(shown).text.split())
    assert "without those that one way selects, answers change by −1.25 [−2.00, −0.50]" in text
    assert "beyond random neurons of equal push, and by −1.12 [−1.90, −0.40]" in text
    assert "Other ways to select neurons" in text
