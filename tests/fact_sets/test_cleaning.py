"""Labels are compared as readers see them: one name per id, words as each script has them."""

import pandas as pd
import pytest

from neuron_atlas.fact_sets import tables
from neuron_atlas.fact_sets.cleaning import drop_reasons, repeated
from neuron_atlas.fact_sets.reading import Reading
from neuron_atlas.sources.raw import COLUMNS


def table(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Triples of one relation: subject, its label, object, its label."""
    return pd.DataFrame([("r", *row) for row in rows], columns=list(COLUMNS), dtype="str")


def reasons(*rows: tuple[str, str, str, str]) -> list[str]:
    return drop_reasons(table(*rows), Reading(), None).dropped.tolist()


CONFLICTS = [
    # The object is called otherwise in one of three rows, whichever comes first.
    (["France", "of France", "France"], ["", "conflict", ""]),
    (["of France", "France", "France"], ["conflict", "", ""]),
    (["France", "France", "Frankreich", "Frankreich"], ["", "", "conflict", "conflict"]),
    (["a", "b", "c"], ["", "conflict", "conflict"]),
    (["France", "france", "FRANCE"], ["", "", ""]),  # the same name
    (["France", "", "Q142"], ["", "", ""]),  # missing labels are counted as such
]


@pytest.mark.parametrize(("labels", "expected"), CONFLICTS)
def test_an_id_has_one_name(labels: list[str], expected: list[str]) -> None:
    rows = [(f"Q{i}", f"city {i}", "Q142", label) for i, label in enumerate(labels)]
    assert repeated(table(*rows)).tolist() == expected
    turned = [(thing, name, subject, label) for subject, label, thing, name in rows]
    assert repeated(table(*turned)).tolist() == expected


def test_a_triple_that_comes_under_both_names_stays_under_the_usual_one() -> None:
    rows = [("Q1", "Lyon", "Q142", "of France"), ("Q2", "Nice", "Q142", "France")]
    rows += [("Q1", "Lyon", "Q142", "France"), ("Q3", "Metz", "Q142", "France")]
    assert repeated(table(*rows)).tolist() == ["conflict", "", "", ""]


def test_the_same_id_may_be_called_otherwise_in_another_relation() -> None:
    rows = table(("Q1", "Lyon", "Q142", "France"), ("Q2", "Nice", "Q142", "of France"))
    rows["relation"] = ["r", "s"]
    assert repeated(rows).tolist() == ["", ""]


COPIES = [
    ("ธนาคารกรุงเทพ", "กรุงเทพ", True),  # Thai: a bank of Bangkok
    ("ມະຫາວິທະຍາໄລວຽງຈັນ", "ວຽງຈັນ", True),
    ("ရန်ကုန်မြို့", "ရန်ကုန်", True),
    ("ក្រុងភ្នំពេញ", "ភ្នំពេញ", True),
    ("北京大学", "北京", True),
    ("दिल्ली विश्वविद्यालय", "दिल्ली", True),
    ("दिल्लीवाला", "दिल्ली", False),  # Hindi: one longer word
    ("हिन्दी", "ह", False),  # a letter is no word for its vowel sign is left out
    ("University of Texas", "Texas", True),
    ("Malaysia", "Asia", False),
    ("Banque de l'Europe", "Europe", True),
    ("The U.S. Army", "U.S.", True),
    ("Τράπεζα της Ελλάδος", "Ελλάδος", True),
    ("جامعة القاهرة", "القاهرة", True),
    ("أوتيل القاهرتين", "القاهرت", False),
    ("אוניברסיטת חיפה", "חיפה", True),
    ("Diyarbakır'ın", "Diyarbakır", True),
    ("서울대학교", "서울", True),
]


@pytest.mark.parametrize(("subject", "answer", "copied"), COPIES)
def test_an_answer_inside_its_subject_is_a_copy(subject: str, answer: str, copied: bool) -> None:
    assert reasons(("Q1", subject, "Q2", answer)) == ["copy" if copied else ""]


@pytest.mark.parametrize("label", ["हिन्दी", "ภาษาไทย", "שָׁלוֹם", "می‌خواهم", "東京タワー", "Ελλάδα"])
def test_marks_and_joiners_are_no_other_script(label: str) -> None:
    assert reasons(("Q1", "x", "Q2", label)) == [""]


TWINS = [
    ("caf\u00e9", "cafe\u0301"),
    ("Paris", "Paris\u200e"),
    ("Pa\u00adris", "Paris"),
    ("Paris", "PARI\u200bS"),
    ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
]


@pytest.mark.parametrize(("one", "two"), TWINS)
def test_labels_that_look_alike_are_rivals_of_nobody(one: str, two: str) -> None:
    rows = table(("Q1", "x", "Q2", one), ("Q3", "y", "Q4", two))
    found = drop_reasons(tables.comparable(rows), Reading(), None).dropped.tolist()
    assert found == ["", "ambiguous"]


@pytest.mark.parametrize("label", ["\u200b", "\u200e \u00ad", "\u2060", "\u3164"])
def test_a_label_that_nobody_sees_is_empty(label: str) -> None:
    rows = tables.comparable(table(("Q1", "x", "Q2", label), ("Q3", label, "Q4", "y")))
    assert drop_reasons(rows, Reading(), None).dropped.tolist() == ["empty_label"] * 2


def test_ids_that_look_alike_are_the_same() -> None:
    rows = table(("Montre\u0301al", "a", "x\u200e", "b"), ("\u200b", "c", "y", "d"))
    found = tables.comparable(rows)
    assert found["subject"].tolist() == ["Montréal", "\u200b"]
    assert found["object"].tolist() == ["x", "y"]
