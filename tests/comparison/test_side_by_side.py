"""Made-up runs side by side: what differs is found, what does not is not; stale runs are mute."""

import json
from dataclasses import replace

import pytest

from made_runs import STOPPED, finding, made_run, sets
from neuron_atlas.comparison.choice import Choice
from neuron_atlas.comparison.runs import Finding, Run
from neuron_atlas.comparison.side_by_side import Row, side_by_side, text, without_twin


def test_two_runs_that_are_the_same_show_no_change() -> None:
    found = side_by_side([made_run("a"), made_run("b")])
    assert (found.parameters, found.inputs, found.known) == ((), (), ())
    assert (found.n_compared, found.n_beyond) == (0, 0)
    assert all(row.same == (False, True) for row in found.claims)
    (row,) = found.sets
    assert row.same


def test_a_change_beyond_its_interval_is_counted_and_one_within_is_not() -> None:
    beyond = made_run("b", findings={"interference": finding(0.9, word="supported")})
    within = made_run("c", findings={"interference": finding(0.31)})
    found = side_by_side([made_run("a"), beyond, within])
    (row,) = [row for row in found.claims if row.claim == "interference"]
    first, second, third = row.changes
    assert first is None
    assert second is not None
    assert third is not None
    assert (second.size, third.size) == ("beyond", "within")
    assert row.new_words == (False, True, False)
    assert (found.n_compared, found.n_beyond) == (2, 1)


def test_another_runs_numbers_are_not_shown_as_its_own() -> None:
    """And they are not what others are compared with, wherever the run stands."""
    stale = made_run("a", ownership=STOPPED, findings={}, known={}, sets="stopped before effects")
    found = side_by_side([stale, made_run("b"), made_run("c")])
    assert found.reference == 1
    assert all(row.findings[0] is None and row.changes[0] is None for row in found.claims)
    assert stale.told() == (
        "from another run: stopped before effects (it read another data/interference)"
    )
    assert not stale.own
    assert {row.run: row.absent for row in found.sets} == {0: "a: stopped before effects", 2: ""}
    told = found.as_dict()["runs"][0]
    assert (told["own"], told["stopped_before"]) == (False, "effects")


def test_if_no_run_has_numbers_sets_and_parameters_are_compared_all_the_same() -> None:
    runs = [made_run(name, ownership=STOPPED, findings={}, known={}) for name in "ab"]
    runs[1] = replace(runs[1], sets=sets(1, 2), parameters={"relation_neurons.k": 2})
    found = side_by_side(runs)
    assert (found.reference, found.claims) == (None, ())
    assert found.sets[0].overlaps[0].shared == 2
    assert [row.name for row in found.parameters] == ["relation_neurons.k", "languages.en"]


def test_what_differs_is_listed_with_every_value() -> None:
    other = {"relation_neurons.k": 200.0, "languages.en": {}, "languages.it": {}, "a.b": None}
    found = side_by_side(
        [
            made_run("a"),
            made_run("b", parameters=other, known={"en": (1, 4)}),
            made_run("c", parameters={}, inputs={"src/neuron_atlas/report": "1234567"}),
        ]
    )
    assert found.parameters == (
        Row("relation_neurons.k", ("100", "200", "–")),
        Row("languages.it", ("–", "{}", "–")),
        Row("a.b", ("–", "null", "–")),
    )
    assert found.inputs == (Row("src/neuron_atlas/report", ("abcdefg", "abcdefg", "1234567")),)
    assert found.known == (Row("en", ("3 of 4", "1 of 4", "3 of 4")),)


def test_a_claim_that_only_one_run_knows_keeps_its_row() -> None:
    other = made_run("b", findings={"a new claim": Finding("undecided")})
    found = side_by_side([made_run("a"), other])
    assert [row.claim for row in found.claims] == ["cumulativity", "interference", "a new claim"]
    assert found.claims[2].findings == (None, Finding("undecided"))


def test_what_is_untestable_everywhere_is_the_same() -> None:
    found = side_by_side([made_run("a"), made_run("b")])
    (row,) = [row for row in found.claims if row.claim == "cumulativity"]
    assert row.findings == (Finding("untestable"), Finding("untestable"))
    assert row.same == (False, True)


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
def test_what_has_not_finished_has_no_numbers(state: str) -> None:
    waiting = Run(Choice("later", "1" * 40, state, experiment=True), parameters={"a": 1})  # type: ignore[arg-type]
    found = side_by_side([made_run("a"), waiting])
    assert state in waiting.told()
    assert all(row.findings[1] is None for row in found.claims)


def test_a_workspace_like_the_commit_is_left_out_and_one_of_its_own_is_not() -> None:
    head, here = made_run("HEAD"), made_run("workspace", "workspace")
    assert without_twin([head, here]) == [head]
    changed = replace(here, parameters={"relation_neurons.k": 3})
    assert without_twin([head, changed]) == [head, changed]
    stale = replace(here, ownership=STOPPED, findings={})
    assert without_twin([head, stale]) == [head, stale]


def test_the_dictionary_is_json_and_names_every_run_and_claim() -> None:
    found = side_by_side([made_run("a"), made_run("b", findings={"interference": finding(0.9)})])
    back = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [run["name"] for run in back["runs"]] == ["a", "b"]
    assert back["reference"] == "a"
    assert set(back["claims"]) == {"interference", "cumulativity"}
    assert back["claims"]["interference"]["changes"][1]["size"] == "beyond"
    assert back["sets"][0]["relations"][0]["jaccard"] == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(3.0, "3"), (0.5, "0.5"), (True, "true"), (None, "null"), ([1], "[1]")]
)
def test_values_as_text(value: object, shown: str) -> None:
    assert text(value) == shown
