"""The same facts in each language, with every true object right, within the limits."""

from typing import Any

import pandas as pd
import pytest

from neuron_atlas.fact_sets.aligned_facts import FactPlan, FactSets, build
from neuron_atlas.fact_sets.alignment import align
from neuron_atlas.fact_sets.limits import Limits, Triple, within_limits
from neuron_atlas.fact_sets.reading import Reading
from neuron_atlas.facts import fact_table
from neuron_atlas.sources.raw import COLUMNS

PLAN = FactPlan(
    max_per_relation=None,
    max_candidates=1000,
    max_majority_share=1.0,
    min_per_relation=4,
    development_share=0.2,
)


def source(n: int = 30, *, language: str = "", n_objects: int = 6) -> pd.DataFrame:
    """Two relations over the same subjects; every third subject has a second object."""
    rows = []
    for relation in ("r", "q"):
        for i in range(n):
            named = f"Subject{i}{language}"
            for thing in [i % n_objects, (i + 1) % n_objects][: 1 + (i % 3 == 0)]:
                rows.append((relation, f"S{i}", named, f"O{thing}", f"Thing{thing}{language}"))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")


def changed(plan: FactPlan, **changes: Any) -> FactPlan:
    return FactPlan(**(plan.model_dump() | changes))


def built(
    tables: dict[str, pd.DataFrame],
    plan: FactPlan = PLAN,
    *,
    shots: int = 1,
    seed: int = 0,
    **how: Any,
) -> FactSets:
    settings: dict[str, Any] = {"at_least": len(tables), "reading": Reading(), "most_tokens": None}
    return build(align(tables, **(settings | how)), plan, shots=shots, seed=seed)


def test_a_fact_is_a_subject_with_all_its_objects() -> None:
    found = built({"en": source(), "fr": source(language="e")})
    en = {f.id: f for f in found.facts["en"]}
    assert len(en) == 60
    assert en["r:S3"].objects == ("O3", "O4")
    assert en["r:S4"].objects == ("O4",)
    assert en["r:S3"].object_labels == ("Thing3", "Thing4")
    assert set(en["r:S3"].candidates) == {f"O{i}" for i in range(6)}
    fr = {f.id: f for f in found.facts["fr"]}
    assert {i: (f.objects, f.candidates, f.split) for i, f in en.items()} == {
        i: (f.objects, f.candidates, f.split) for i, f in fr.items()
    }
    assert fr["r:S3"].subject_label == "Subject3e"


def test_what_any_language_holds_to_be_true_is_never_wrong() -> None:
    """Russian lacks the second object of S3, so the triple goes; as an answer it stays right."""
    fewer = source()
    fewer = fewer[~((fewer["subject"] == "S3") & (fewer["object"] == "O4"))]
    found = built({"en": source(), "ru": fewer})
    for facts_ in found.facts.values():
        assert {f.id: f for f in facts_}["r:S3"].objects == ("O3", "O4")


def test_subjects_are_in_one_split_whatever_their_relations() -> None:
    found = built({"en": source()}).facts["en"]
    splits: dict[str, set[str]] = {}
    for fact in found:
        splits.setdefault(fact.subject, set()).add(fact.split)
    assert all(len(names) == 1 for names in splits.values())
    assert {name for names in splits.values() for name in names} == {
        *("development", "identification", "held_out")
    }


def test_limits_hold_and_what_they_cost_is_counted() -> None:
    plan = changed(PLAN, max_per_relation=8, max_candidates=3, max_majority_share=0.5)
    found = built({"en": source(), "fr": source(language="e")}, plan)
    for code, rows in found.facts.items():
        assert sum(f.relation == "r" for f in rows) == 8
        assert all(len(f.candidates) <= 3 for f in rows)
        counts = found.counts[code]["r"]
        assert counts["n_facts"] == 8
        assert counts["n_over_limit"] == 22
        assert counts["majority_share"] <= 0.5
    assert [f.id for f in found.facts["en"]] == [f.id for f in found.facts["fr"]]
    other = built({"en": source(), "fr": source(language="e")}, plan, seed=1)
    assert [f.id for f in other.facts["en"]] != [f.id for f in found.facts["en"]]


def test_facts_of_some_languages_only_stand_in_these() -> None:
    en, fr = source(), source(language="e")
    fr = fr[fr["subject"] != "S5"]
    found = built({"en": en, "fr": fr}, at_least=1)
    assert "r:S5" in {f.id for f in found.facts["en"]}
    assert "r:S5" not in {f.id for f in found.facts["fr"]}
    assert len(found.facts["fr"]) == 58


def test_small_relations_are_left_out_and_said() -> None:
    rows = source()
    few = rows[(rows["relation"] == "r") | (rows["subject"].isin(["S1", "S2"]))]
    found = built({"en": few})
    assert {f.relation for f in found.facts["en"]} == {"r"}
    assert (found.counts["en"]["q"]["n_too_few"], found.counts["en"]["q"]["n_facts"]) == (2, 0)
    with pytest.raises(
        ValueError, match=r"no relation has facts.min_per_relation 99 facts left.*'r': '30 of 30'"
    ):
        built({"en": rows}, changed(PLAN, min_per_relation=99))


def test_tables_of_such_facts_are_valid() -> None:
    found = built({"en": source()}).facts["en"]
    texts = {
        "r": ("{subject} is {object}", "{object} of {subject} ."),
        "q": ("{subject}:{object}",),
    }
    table = fact_table.build(found, texts, separator="")
    assert len(table) == 30 * 3
    first = table[table["fact"] == "r:S4"].iloc[0]
    assert (first["prompt"], first["separator"]) == ("Subject4 is", " ")
    second = table[table["fact"] == "r:S4"].iloc[1]
    assert second["prompt"] == "{object} of Subject4 ."
    solved = fact_table.solved(table["prompt"], table["separator"], table["answer"])
    assert "Thing4 of Subject4 ." in solved
    assert "Subject4:Thing4" in solved


def slow_within(triples: list[Triple], limits: Limits) -> list[Triple]:
    """Try every size, largest first."""
    for size in range(min(limits.max_per_relation or len(triples), len(triples)), 0, -1):
        count: dict[str, int] = {}
        kept = []
        for t in triples:
            n = count.get(t.objects[0], 0)
            new = t.objects[0] not in count
            if n < max(1, int(limits.max_majority_share * size)) and (
                not new or len(count) < limits.max_candidates
            ):
                kept.append(t)
                count[t.objects[0]] = n + 1
        if len(kept) >= size:
            return kept[:size]
    return []


@pytest.mark.parametrize("majority", [0.1, 0.34, 0.8, 1.0])
@pytest.mark.parametrize("candidates", [2, 5, 99])
@pytest.mark.parametrize("most", [None, 7, 25])
def test_the_limits_are_met_by_the_largest_size(
    majority: float, candidates: int, most: int | None
) -> None:
    triples = [Triple(f"s{i}", (f"o{min(i % 7, i % 3)}",)) for i in range(60)]
    limits = Limits(max_per_relation=most, max_candidates=candidates, max_majority_share=majority)
    assert within_limits(triples, limits) == slow_within(triples, limits)


def test_a_relation_that_is_small_in_one_language_is_left_out_there() -> None:
    fr = source(language="e")
    fr = fr[(fr["relation"] == "r") | fr["subject"].isin(["S1", "S2", "S4"])]
    found = built({"en": source(), "fr": fr}, at_least=1)
    assert {f.relation for f in found.facts["fr"]} == {"r"}
    assert found.counts["fr"]["q"]["n_too_few"] == 3
    assert {f.relation for f in found.facts["en"]} == {"q", "r"}
    assert len(built({"en": source()}).facts["en"]) == 60
    with_more = built({"en": source()}, shots=6)
    assert {f.relation for f in with_more.facts["en"]} == {"q", "r"}
    assert built({"en": source()}, shots=7).facts["en"] == []


def renamed(rows: pd.DataFrame, column: str, old: str, new: str) -> pd.DataFrame:
    return rows.assign(**{column: rows[column].replace({old: new})})


def test_the_answers_of_a_subject_s_namesake_are_right_too() -> None:
    """S1 (Thing1) and S2 (Thing2) are called the same, so of either both answers are right."""
    rows = renamed(source(), "subject_label", "Subject2", "SUBJECT1")
    found = {f.id: f for f in built({"en": rows}).facts["en"]}
    assert "r:S2" not in found
    assert found["r:S1"].objects == ("O1", "O2")


def test_a_candidate_called_like_a_true_answer_is_right() -> None:
    """S1's second object goes as a namesake of O5; O5 must not be wrong for S1 then."""
    extra = pd.DataFrame([("r", "S1", "Subject1", "O9", "thing5 ")], columns=list(COLUMNS))
    rows = pd.concat([source(), extra], ignore_index=True)
    found = built({"en": rows})
    fact = {f.id: f for f in found.facts["en"]}["r:S1"]
    assert "O9" not in fact.candidates
    assert fact.objects == ("O1", "O5")


def test_a_fact_whose_answer_is_no_candidate_of_its_language_is_left_out_and_counted() -> None:
    """French names other objects than English; six candidates of the twelve are kept."""
    fr = source(language="e")
    fr = fr.assign(object="F" + fr["object"])
    plan = changed(PLAN, max_candidates=6)
    found = built({"en": source(), "fr": fr}, plan, at_least=1)
    for code, rows in found.facts.items():
        assert all(f.objects[0] in f.candidates for f in rows)
        assert all(f.objects[0].startswith("F") == (code == "fr") for f in rows)
        counts = found.counts[code]["r"]
        kept = 30 - counts["n_over_limit"]
        assert counts["n_without_candidate"] == kept - counts["n_facts"] - counts["n_too_few"]
    lost = [counts["r"]["n_without_candidate"] for counts in found.counts.values()]
    assert max(lost) > 0
    assert built({"en": source()}).counts["en"]["r"]["n_without_candidate"] == 0
