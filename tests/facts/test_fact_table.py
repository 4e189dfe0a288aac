"""Fact tables: what is built is valid, what is invalid is refused, subjects are dealt fairly."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.facts import fact_table
from neuron_atlas.facts.splits import SPLITS, split_subjects
from neuron_atlas.pipeline import store

PARIS = fact_table.Fact(
    relation="capital",
    subject="FR",
    subject_label="France",
    objects=("paris",),
    object_labels=("Paris",),
    candidates=("paris", "rome"),
    candidate_labels=("Paris", "Rome"),
    split="held_out",
    answer_split="held_out",
)
ROME = replace(
    PARIS, subject="IT", subject_label="Italy", objects=("rome",), object_labels=("Rome",)
)
TEMPLATES = {"capital": ("Country: {subject}. Capital:", "{subject} is governed from «")}


@pytest.fixture
def table() -> pd.DataFrame:
    return fact_table.build([PARIS, ROME], TEMPLATES, separator=" ")


def broken(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """Return the table with another value in one column of its first row."""
    rows = table.to_dict("records")
    rows[0][column] = value
    return pd.DataFrame(rows, columns=table.columns)


def test_every_fact_is_written_in_every_paraphrase(table: pd.DataFrame) -> None:
    assert list(zip(table["fact"], table["template"], strict=True)) == [
        ("capital:FR", 0),
        ("capital:FR", 1),
        ("capital:IT", 0),
        ("capital:IT", 1),
    ]
    assert table["prompt"][0] == "Country: France. Capital:"
    assert table["answer"].tolist() == ["Paris", "Paris", "Rome", "Rome"]


def test_no_space_follows_an_opening_mark(table: pd.DataFrame) -> None:
    assert table["separator"].tolist() == [" ", "", " ", ""]


def test_the_span_is_the_subject(table: pd.DataFrame) -> None:
    for row in table.to_dict("records"):
        assert row["prompt"][row["subject_start"] : row["subject_end"]] == row["subject_label"]


def test_a_table_survives_the_disk(tmp_path: Path, table: pd.DataFrame) -> None:
    fact_table.write_facts(tmp_path / "en.parquet", table)
    pd.testing.assert_frame_equal(fact_table.read_facts(tmp_path / "en.parquet"), table)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path, table: pd.DataFrame) -> None:
    for name in ("a", "b"):
        fact_table.write_facts(tmp_path / name, table.copy())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_relation_without_templates_is_named() -> None:
    with pytest.raises(ValueError, match=r"no templates for the relations \['capital'\]"):
        fact_table.build([PARIS], {}, separator=" ")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("prompt", "", "prompt must be text"),
        ("prompt", "Country: France. Capital: ", "without a space"),
        ("answer", "", "answer must be text"),
        ("answer", "Rome", "must be the first"),
        ("subject_label", " ", "subject_label must be text"),
        ("subject_start", 3, "expected the subject 'France'"),
        ("split", "test", "split must be one of"),
        ("answer_split", "test", "answer_split must be one of"),
        ("template_role", "test,", "template_role must be one of"),
        ("separator", "  ", "separator must be"),
        ("candidates", ["rome", "oslo"], "not among the candidates"),
        ("candidates", ["paris"], "must align"),
        ("objects", ["paris", "rome"], "must align"),
        ("candidate_labels", ["Paris", "Paris"], "several candidates are called 'Paris'"),
    ],
)
def test_a_broken_row_is_refused(
    table: pd.DataFrame, column: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        fact_table.validate(broken(table, column, value), "en.parquet")
    assert "en.parquet: fact 'capital:FR', template 0" in str(raised.value)


def test_a_fact_written_twice_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'capital:FR', template 0 comes twice"):
        fact_table.validate(pd.concat([table, table.head(1)]), "x")


def test_an_answer_on_both_sides_is_refused() -> None:
    same = replace(PARIS, subject="MC", subject_label="Monaco")
    fact_table.build([PARIS, same], TEMPLATES, separator=" ")
    torn = replace(same, answer_split="identification")
    with pytest.raises(ValueError, match=r"relation 'capital': answers of one side .*\['paris'\]"):
        fact_table.build([PARIS, torn], TEMPLATES, separator=" ")


def test_missing_columns_and_empty_tables_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['split'\]"):
        fact_table.validate(table.drop(columns="split"), "x")
    with pytest.raises(ValueError, match="no facts"):
        fact_table.validate(table.head(0), "x")


def test_reading_says_what_is_wrong_with_a_file(tmp_path: Path, table: pd.DataFrame) -> None:
    store.write_table(tmp_path / "en.parquet", table.drop(columns=["split", "objects"]))
    with pytest.raises(ValueError, match=r"en\.parquet lacks the columns"):
        fact_table.read_facts(tmp_path / "en.parquet")


GROUPS = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.integers(0, 60).map(str), unique=True), max_size=6
)


@given(GROUPS, st.floats(0, 0.8), st.integers(0, 99))
@settings(max_examples=60)
def test_every_subject_has_one_split_and_halves_are_equal(
    groups: dict[str, list[str]], share: float, seed: int
) -> None:
    found = split_subjects(groups, domain="city", development_share=share, seed=seed)
    n, count = len(found), Counter(found.values())
    assert set(found) == set().union(*groups.values())
    assert 0 <= count["identification"] - count["held_out"] <= 1
    assert abs(count["development"] - share * n) <= 1
    assert count["development"] >= (n >= 5 and share > 0)


@given(GROUPS, st.integers(0, 99))
@settings(max_examples=30)
def test_the_order_of_relations_and_subjects_does_not_matter(
    groups: dict[str, list[str]], seed: int
) -> None:
    turned = {name: groups[name][::-1] for name in reversed(groups)}
    deal = [
        split_subjects(g, domain="city", development_share=0.2, seed=seed) for g in (groups, turned)
    ]
    assert deal[0] == deal[1]


def test_seven_weekdays_are_dealt_evenly_and_the_seed_matters() -> None:
    days = {"day_after": [str(i) for i in range(7)]}
    dealt = [
        split_subjects(days, domain="weekday", development_share=0.2, seed=s) for s in range(8)
    ]
    assert all(Counter(d.values()) == dict(zip(SPLITS, (1, 3, 3), strict=True)) for d in dealt)
    assert len({tuple(sorted(d.items())) for d in dealt}) > 1


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"development_share must be in \[0, 1\), got 1.0"):
        split_subjects({"a": ["b"]}, domain="city", development_share=1.0, seed=0)
