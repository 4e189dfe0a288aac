"""The data card: what became of a source, closed to markup from its labels."""

from dataclasses import replace

from test_page import HOSTILE, Elements

import results
from neuron_atlas.report import data_card


def test_counts_licence_and_examples_are_shown() -> None:
    text = data_card.render_card(results.everything(), title="Atlas")
    found = Elements(text)
    assert "18 facts of 3 relations. Left out: copy 6." in " ".join(found.text.split())
    assert found.text.count(results.COUNTS["example"]) == 3 * len(results.LANGUAGES)
    assert results.SOURCE["licence"] in found.text
    for head in ("Facts", "that find neurons", "that test them", "with seen answers"):
        assert found.text.count(head) >= len(results.LANGUAGES)
    row = '<td class="n">6</td><td class="n">2</td><td class="n">1</td><td class="n">2</td>'
    assert text.count(row) == 3 * len(results.LANGUAGES)
    assert 64 * "a" in found.text
    links = [a["href"] for tag, a in found.tags if tag == "a"]
    assert links == ["index.html", "https://example.org"]


def test_what_was_left_out_is_named_with_its_number() -> None:
    given = results.everything()
    row = results.COUNTS | {
        "n_facts": 0,
        "dropped": {"copy": 4, "mixed_scripts": 1, "conflict": 0},
        "n_over_limit": 7,
        "n_without_template": 2,
        "templates": {"n_used": 0, "left_out": {"object_not_last": 3}, "stands_in": False},
        "example": None,
    }
    report = {"source": results.SOURCE, "templates": "texts", "relations": {"lost": row}}
    found = Elements(data_card.render_card(replace(given, facts={"en": report}), title="Atlas"))
    text = " ".join(found.text.split())
    assert "copy 4; mixed scripts 1; over the limit of facts 7; without a template 2." in text
    assert "Templates left out: object not last 3." in text
    assert "Without facts here: lost." in text


def test_text_of_the_source_is_never_markup() -> None:
    given = results.everything((HOSTILE, "currency"))
    source = dict.fromkeys(results.SOURCE, HOSTILE) | {
        "reference": "javascript:alert(1)",
        "files": {HOSTILE: HOSTILE},
    }
    relations = {HOSTILE: results.COUNTS | {"example": HOSTILE}}
    report = {"source": source, "templates": HOSTILE, "relations": relations}
    hostile = replace(given, facts={HOSTILE: report})
    text = data_card.render_card(hostile, title=HOSTILE)
    found = Elements(text)
    assert not found.foreign()
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert [a["href"] for tag, a in found.tags if tag == "a"] == ["index.html"]
    assert found.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in found.text
