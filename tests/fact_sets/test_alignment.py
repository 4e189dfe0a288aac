"""Ids decide which facts are aligned; what cannot be asked goes, and every one of it is counted."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from neuron_atlas.fact_sets.alignment import DROPPED, Aligned, align
from neuron_atlas.fact_sets.cleaning import REASONS, drop_reasons, scripts
from neuron_atlas.fact_sets.reading import Reading
from neuron_atlas.sources.raw import COLUMNS

CYRILLIC = "\N{CYRILLIC CAPITAL LETTER A}\N{CYRILLIC SMALL LETTER BE}"
LONG = "\N{KATAKANA-HIRAGANA PROLONGED SOUND MARK}"
SAME = "\N{IDEOGRAPHIC ITERATION MARK}"
OKINA, ORDINAL = "\N{MODIFIER LETTER TURNED COMMA}", "\N{MASCULINE ORDINAL INDICATOR}"
HAN, KANA = "\N{CJK UNIFIED IDEOGRAPH-56FD}", "\N{HIRAGANA LETTER NO}"


def table(*rows: Sequence[str]) -> pd.DataFrame:
    """Triples of (subject id, subject label, object id, object label), all of relation r."""
    return pd.DataFrame([("r", *row) for row in rows], columns=list(COLUMNS), dtype="str")


def aligned(tables: dict[str, pd.DataFrame], **changes: Any) -> Aligned:
    how: dict[str, Any] = {"at_least": len(tables), "reading": Reading(), "most_tokens": None}
    return align(tables, **(how | changes))


def why(row: Sequence[str], *others: Sequence[str], **changes: Any) -> str:
    """The reason for which the first of some triples goes."""
    how: dict[str, Any] = {"reading": Reading(), "most_tokens": None} | changes
    return str(drop_reasons(table(row, *others), **how).dropped[0])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("Q1", "France", "Q2", "Paris"), ""),
        (("Q1", " ", "Q2", "Paris"), "empty_label"),
        (("Q1", "France", "Q2", ""), "empty_label"),
        (("Q1", "Q1", "Q2", "Paris"), "label_is_id"),
        (("Q1", "France", "Q2", "Q2"), "label_is_id"),
        (("big", "big", "bigger", "bigger"), ""),  # ids that are names are no missing labels
        (("Q1", "Singapore", "Q2", "singapore"), "same_label"),
        (("Q1", "Mexico City", "Q2", "Mexico"), "copy"),
        (("Q1", "Mexico", "Q2", "Mexico City"), ""),
        (("Q1", f"{CYRILLIC}b", "Q2", "Paris"), "mixed_scripts"),
        (("Q1", "France", "Q2", f"Paris {CYRILLIC}"), ""),  # two words
        (("Q1", f"{CYRILLIC} II", "Q2", "Paris"), ""),
        (("Q1", f"T{HAN}", "Q2", f"{KANA}{LONG}{SAME}"), ""),
        (("Q1", f"Hawai{OKINA}i", "Q2", f"N{ORDINAL} 5"), ""),
        (("Q1", "Malaysia", "Q2", "Asia"), ""),  # no word of it
        (("Q1", "Bank of Asia, Ltd", "Q2", "Asia"), "copy"),
        (("Q1", HAN + KANA, "Q2", HAN), "copy"),
        (("Q1", "\N{LATIN SMALL LETTER E WITH ACUTE}a", "Q2", CYRILLIC), ""),
        (("Q1", HAN + KANA, "Q2", "Paris"), ""),
    ],
)
def test_each_reason(row: Sequence[str], reason: str) -> None:
    assert why(row) == reason


def test_long_answers_go_where_a_limit_is_set() -> None:
    row = ("Q1", "France", "Q2", "Paris")
    letters = {c: i for i, c in enumerate("FranceParis")}
    reading = Reading(Tokenizer(models.BPE(vocab=letters, merges=[])))
    assert why(row, most_tokens=5, reading=reading) == ""
    assert why(row, most_tokens=4, reading=reading) == "long_answer"


def test_of_namesakes_the_first_stays() -> None:
    one, two = ("Q1", "Georgia", "Q2", "Tbilisi"), ("Q3", "GEORGIA ", "Q4", "Atlanta")
    found = drop_reasons(table(one, two), Reading(), None).dropped.tolist()
    assert found == ["", "ambiguous"]
    same_city = [("Q1", "A", "Q2", "Alexandria"), ("Q5", "B", "Q9", "Alexandria")]
    assert drop_reasons(table(*same_city), Reading(), None).dropped.tolist() == ["", "ambiguous"]
    several = [("Q1", "Canada", "Q2", "English"), ("Q1", "Canada", "Q3", "French")]
    assert drop_reasons(table(*several), Reading(), None).dropped.tolist() == ["", ""]


def test_what_is_allowed_stays_and_is_noted() -> None:
    rows = table(("apple", "apple pie", "a", "pie"), ("Q1", "Q1", "x", "q1"))
    found = drop_reasons(rows, Reading(), None, allowed=("copy",))
    assert found.dropped.tolist() == ["", "label_is_id"]
    assert found.noted[0] == "copy"
    one = aligned({"en": rows}, allowed=("copy",))
    assert one.counts["en"]["r"]["noted"]["copy"] == 1
    assert one.tables["en"]["subject"].tolist() == ["apple"]


def test_scripts_that_go_together_are_one() -> None:
    assert scripts(HAN + KANA) == {"CJK"}
    assert scripts("a1 -") == {"LATIN"}
    assert scripts("a" + CYRILLIC) == {"LATIN", "CYRILLIC"}


def test_repeated_rows_are_duplicates_or_conflicts_and_the_first_stays() -> None:
    rows = table(
        ("Q1", "France", "Q2", "Paris"),
        ("Q1", "France", "Q2", "Paris"),
        ("Q1", "Frankreich", "Q2", "Paris"),
        ("Q1", "France", "Q3", "Lutetia"),
    )
    found = aligned({"en": rows})
    dropped = found.counts["en"]["r"]["dropped"]
    assert (dropped["duplicate"], dropped["conflict"]) == (1, 1)
    assert found.tables["en"]["object_label"].tolist() == ["Paris", "Lutetia"]
    assert found.n_aligned == {"r": 2}


def test_ids_align_and_unfit_facts_go_in_the_other_languages_too() -> None:
    en = table(
        ("Q1", "France", "Q2", "Paris"), ("Q3", "Spain", "Q4", "Madrid"), ("Q5", "X", "Q6", "Y")
    )
    fr = table(("Q3", "Espagne", "Q4", "Madrid"), ("Q1", "France", "Q2", ""))
    both = aligned({"en": en, "fr": fr})
    assert both.n_aligned == {"r": 2}
    assert [t["subject"].tolist() for t in both.tables.values()] == [["Q3"], ["Q3"]]
    assert both.counts["en"]["r"]["dropped"]["unaligned"] == 1
    assert both.counts["en"]["r"]["dropped"]["lost_elsewhere"] == 1
    assert both.counts["fr"]["r"]["dropped"]["empty_label"] == 1
    one = aligned({"en": en, "fr": fr}, at_least=1)
    assert one.n_aligned == {"r": 3}
    assert [len(t) for t in one.tables.values()] == [3, 1]
    assert one.counts["en"]["r"]["dropped"]["lost_elsewhere"] == 0


@pytest.mark.parametrize("at_least", [0, 3])
def test_more_languages_than_there_are_cannot_be_asked_for(at_least: int) -> None:
    rows = table(("Q1", "France", "Q2", "Paris"))
    with pytest.raises(ValueError, match=r"min_languages must be in \[1, 2\].*got"):
        aligned({"en": rows, "fr": rows}, at_least=at_least)


labels = st.text(st.characters(codec="utf-8"), max_size=4)
ids = st.sampled_from(["Q1", "Q2", "Q3"])
triples = st.lists(st.tuples(ids, labels, ids, labels), max_size=12)


@given(st.lists(triples, min_size=1, max_size=3), st.integers(1, 3))
def test_nothing_is_dropped_without_being_counted(languages: list[Any], at_least: int) -> None:
    tables = {str(i): table(*rows) for i, rows in enumerate(languages)}
    found = aligned(tables, at_least=min(at_least, len(tables)))
    for code, rows in tables.items():
        counts = found.counts[code].get("r", {"n_read": 0, "dropped": {}})
        assert counts["n_read"] == len(rows)
        assert len(found.tables[code]) == len(rows) - sum(counts["dropped"].values())
        assert set(counts["dropped"]) <= set(DROPPED)
        kept = found.tables[code]
        assert not kept.duplicated(["subject", "object"]).any()
        for label, thing in (("subject_label", "subject"), ("object_label", "object")):
            named = kept.assign(low=kept[label].str.strip().str.casefold())
            assert (named.groupby("low")[thing].nunique() <= 1).all()


def test_reasons_are_all_counted_under_their_names() -> None:
    assert set(REASONS) < set(DROPPED)
