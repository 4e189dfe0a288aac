"""One place for each relation: what breaks without it, in words, beside the claim's verdict."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from test_page import HOSTILE, Elements, rendered

import results
from neuron_atlas.report import inputs, relation_sections
from neuron_atlas.report.inputs import Results

FIRST, SECOND, THIRD = results.RELATIONS


def section(text: str, name: str) -> str:
    """The text of a relation's part of the page."""
    part = text.split(f'id="relation-{name}"')[1].split('<details class="relation"')[0]
    return " ".join(Elements(part).text.split())


def changed(given: Results, relation: str, **values: object) -> Results:
    own = given.own.copy()
    own.loc[own["relation"] == relation, list(values)] = list(values.values())
    return replace(given, own=own)


def test_each_relation_is_said_to_break_to_improve_or_not_to_be_shown() -> None:
    given = changed(results.everything(), THIRD, excess=0.5, low=0.2, high=0.8, p_adjusted=0.01)
    found = {one.name: one.state for one in sections(given)}
    assert found == {FIRST: "worse", SECOND: "nothing shown", THIRD: "better"}
    text = rendered(given)
    assert "Its own answers break." in section(text, FIRST)
    assert "Its own answers improve." in section(text, THIRD)


def sections(given: Results) -> list[relation_sections.RelationSection]:
    return relation_sections.relation_sections(given, top_neurons=3)


def test_an_interval_that_holds_0_is_a_null_in_words_beside_the_claim_s_verdict() -> None:
    text = section(rendered(results.everything()), SECOND)
    assert f"Nothing was shown for {SECOND}." in text
    assert "the difference, +0.06 [−0.44, +0.56] nats, may be 0" in text
    assert "would have found in 80 of 100 cases is 0.25 nats" in text
    assert "supported although nothing was shown for this relation by itself" in text


def test_a_relation_that_was_not_measured_says_so() -> None:
    given = results.everything()
    without = replace(given, own=given.own[given.own["relation"] != FIRST])
    text = section(rendered(without), FIRST)
    assert "Not measured: fewer than four of its held-out facts could be asked." in text
    sets = given.sets[given.sets["relation"] != FIRST]
    assert "it has no neurons of its own" in section(rendered(replace(without, sets=sets)), FIRST)


def test_every_control_has_its_row_with_every_part(whole: str) -> None:
    rows = whole.split(f'aria-label="Own effect of {FIRST} beyond each control"')[1]
    rows = rows.split("</table>")[0]
    for control in ("like activation", "equal push", "random direction", "other relations"):
        assert rows.count(control) >= 2
    assert rows.count('−0.75 <span class="interval">[−1.25, −0.25]</span>') == 8
    assert "All held-out questions" in rows
    assert "Those answered right before" in rows


@pytest.fixture(scope="module")
def whole() -> str:
    return rendered(results.everything(), pictures=True)


def test_other_relations_that_change_are_named_and_else_it_is_said_that_none_is() -> None:
    given = results.everything()
    cell = (given.cells["relation"] == FIRST) & (given.cells["measured"] == SECOND)
    cells = given.cells.copy()
    cells.loc[cell, ["excess", "p_adjusted"]] = [0.75, 0.01]
    text = rendered(replace(given, cells=cells))
    assert f"Of other relations, {SECOND} improves (+0.75" in section(text, FIRST)
    assert "No other relation is shown to break or to improve" in section(text, THIRD)


def test_neurons_link_to_their_cards_and_what_they_write_is_shown(whole: str) -> None:
    part = whole.split(f'id="relation-{FIRST}"')[1].split('<details class="relation"')[0]
    assert re.findall(r'href="#n=([\d.]+)">', part)[:3] == ["0.0", "1.1", "2.2"]
    assert f'<bdi class="token">␣{FIRST}</bdi>' in part
    assert '<bdi class="token">שלום</bdi>' in part
    assert "with a chance of 0.75 [0.70, 0.80]" in section(whole, FIRST)
    assert "So its neurons write its answers" in section(whole, FIRST)


def test_without_cards_all_else_is_shown() -> None:
    text = rendered(replace(results.everything(), cards=None))
    assert "What they write" not in text
    assert 'id="explorer"' not in text
    assert "What breaks without its neurons?" in section(text, FIRST)


def test_ids_are_plain_and_never_the_same() -> None:
    names = [HOSTILE, "a b", "a/b", "capital"]
    found = relation_sections.anchors(names)
    assert len(set(found)) == 4
    assert found[3] == "relation-capital"
    assert all(re.fullmatch(r"[\w-]+", one) for one in found)


def test_examples_are_a_right_and_a_wrong_prompt_with_the_model_s_answer() -> None:
    asked = results._asked(results.some_recall())
    table = pd.concat([asked.assign(template_role="select", prompt="no"), asked])
    found = inputs.chosen_examples(table)
    assert list(found) == inputs.EXAMPLES
    assert found.groupby("relation")["correct"].apply(list).to_dict() == {
        name: [True, False] for name in results.RELATIONS
    }
    assert set(zip(found["correct"], found["given"], strict=True)) == {(True, "O0"), (False, "O1")}
    assert "no" not in set(found["prompt"])
