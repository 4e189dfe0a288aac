"""Subjects and answers dealt together: no shared answers, the same halves, as many facts kept."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.facts.answer_sides import SIDES, Deal, FactsOf, deal
from neuron_atlas.facts.splits import split_subjects

NAMES = st.integers(0, 20).map(str)
FACTS = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(NAMES, st.lists(st.sampled_from("uvwxyz"), min_size=1, unique=True)),
    max_size=3,
)


def dealt(facts: FactsOf, *, share: float = 0.2, seed: int = 0) -> Deal:
    return deal(facts, domain="city", development_share=share, seed=seed)


def kept(facts: FactsOf, one: Deal, relation: str) -> dict[str, set[str]]:
    """Return by side the facts whose subject and answers are all of it."""
    return {
        side: {
            subject
            for subject, objects in facts[relation].items()
            if one.splits[subject] == side == one.answer_split(relation, objects)
        }
        for side in SIDES
    }


@given(FACTS, st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_facts_of_the_two_sides_share_neither_subject_nor_answer(
    facts: dict[str, dict[str, list[str]]], seed: int
) -> None:
    one = dealt(facts, seed=seed)
    for relation in facts:
        halves = kept(facts, one, relation)
        answers = [{o for s in halves[side] for o in facts[relation][s]} for side in SIDES]
        assert not halves["identification"] & halves["held_out"]
        assert not answers[0] & answers[1]


@given(FACTS, st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_development_and_the_sizes_of_the_halves_are_those_of_the_subjects_alone(
    facts: dict[str, dict[str, list[str]]], seed: int
) -> None:
    subjects = {relation: list(rows) for relation, rows in facts.items()}
    alone = split_subjects(subjects, domain="city", development_share=0.2, seed=seed)
    together = dealt(facts, seed=seed).splits
    assert Counter(together.values()) == Counter(alone.values())
    assert {s for s, split in together.items() if split == "development"} == {
        s for s, split in alone.items() if split == "development"
    }


@given(FACTS, st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_the_order_of_relations_subjects_and_answers_does_not_matter(
    facts: dict[str, dict[str, list[str]]], seed: int
) -> None:
    turned = {
        relation: {s: facts[relation][s][::-1] for s in reversed(facts[relation])}
        for relation in reversed(facts)
    }
    assert dealt(facts, seed=seed) == dealt(turned, seed=seed)


def test_answers_of_equal_halves_are_dealt_without_a_loss() -> None:
    """Two relations group 16 subjects by the same four answers: there is a deal that keeps all."""
    facts = {r: {f"{a}{i}": [a] for a, i in product("uvwx", range(4))} for r in "ab"}
    subjects = {r: list(rows) for r, rows in facts.items()}
    alone = split_subjects(subjects, domain="city", development_share=0.0, seed=0)
    assert any(len({alone[f"{a}{i}"] for i in range(4)}) == 2 for a in "uvwx")  # some are torn
    one = dealt(facts, share=0.0)
    assert all(len(half) == 8 for r in "ab" for half in kept(facts, one, r).values())


def test_a_fact_with_answers_on_both_sides_is_mixed() -> None:
    facts = {"a": {"1": ["u"], "2": ["v"], "3": ["u", "v"], "4": ["u", "v"]}}
    one = Deal(
        dict.fromkeys("1234", "identification"), {"a": {"u": "identification", "v": "held_out"}}
    )
    found = [one.answer_split("a", objects) for objects in facts["a"].values()]
    assert found == ["identification", "held_out", "mixed", "mixed"]


def test_the_seed_matters_and_an_impossible_share_is_refused() -> None:
    facts = {"a": {str(i): [str(i % 5)] for i in range(20)}}
    assert len({tuple(sorted(dealt(facts, seed=s).splits.items())) for s in range(5)}) > 1
    with pytest.raises(ValueError, match=r"development_share must be in \[0, 1\), got 1.0"):
        dealt(facts, share=1.0)
