"""Which prompts find neurons and which test them: no fact and no template does both."""

from itertools import product

import pandas as pd
import pytest

import toy
from neuron_atlas.facts import roles
from neuron_atlas.facts.answer_sides import ANSWER_SPLITS
from neuron_atlas.facts.splits import SPLITS


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, ["both"]), (2, ["select", "test"]), (4, ["select", "select", "select", "test"])],
)
def test_the_last_template_tests_and_a_single_one_does_both(n: int, expected: list[str]) -> None:
    assert [roles.template_role(i, n) for i in range(n)] == expected


@pytest.mark.parametrize("language", toy.LANGUAGES)
def test_what_tests_shares_no_subject_answer_or_template_with_what_finds(language: str) -> None:
    table = toy.fact_table(language)
    found, tested = table[roles.selects(table)], table[roles.tests(table)]
    assert set(found["relation"]) == set(tested["relation"]) == set(toy.RELATIONS)
    for relation in toy.RELATIONS:
        one, two = (t[t["relation"] == relation] for t in (found, tested))
        for column in ("subject", "template"):
            assert not set(one[column]) & set(two[column])
        assert not set(one["objects"].explode()) & set(two["objects"].explode())


def test_a_filtered_table_keeps_its_roles() -> None:
    table = toy.fact_table("en")
    some = table[table["template"] == 0]
    assert not roles.tests(some).any()
    assert roles.selects(some).any()


def test_every_case_of_subject_answers_and_template() -> None:
    rows = list(product(SPLITS, ANSWER_SPLITS, roles.TEMPLATE_ROLES))
    table = pd.DataFrame(rows, columns=["split", "answer_split", "template_role"])

    def of(mask: pd.Series) -> set[tuple[str, ...]]:
        return set(table[mask].itertuples(index=False, name=None))

    half = "identification"
    assert of(roles.selects(table)) == {(half, half, "select"), (half, half, "both")}
    half = "held_out"
    assert of(roles.tests(table)) == {(half, half, "test"), (half, half, "both")}
    assert {row[:2] for row in of(roles.seen(table))} == {
        ("held_out", "identification"),
        ("held_out", "mixed"),
    }
