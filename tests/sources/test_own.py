"""A user's facts: JSON Lines and CSV give the same rows, of one language at a time."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.sources import own
from neuron_atlas.sources.raw import COLUMNS

ROWS = [
    {
        "relation": "r",
        "language": "en",
        "subject": "s",
        "object": "o",
        "subject_label": "Sue",
        "object_label": "",
    },
    {
        "relation": "q",
        "language": "de",
        "subject": "t",
        "object": "o",
        "subject_label": "Tom",
        "object_label": "O",
    },
    {
        "relation": "q",
        "language": "en",
        "subject": "t",
        "object": "o",
        "subject_label": 'T,\n"m"',
        "object_label": "O",
    },
]
Write = Callable[[Path, list[dict[str, str]]], Path]
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(out.getvalue().encode())
    return path


@pytest.mark.parametrize("write", [jsonl, table])
def test_one_language_s_rows_keep_the_file_s_order(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / ("own.csv" if write is table else "own.jsonl"), ROWS)
    raw = own.read(path, "en", None)
    assert (raw.language, raw.templates) == ("en", {})
    assert raw.table.columns.tolist() == list(COLUMNS)
    assert raw.table.to_numpy().tolist() == [
        ["r", "s", "Sue", "o", ""],
        ["q", "t", 'T,\n"m"', "o", "O"],
    ]
    assert own.read(path, "de", ["r"]).table.empty  # in the file, not in this language


@pytest.mark.parametrize("write", [jsonl, table])
def test_a_label_that_is_missing_is_the_id_and_other_columns_are_ignored(
    write: Write, tmp_path: Path
) -> None:
    path = tmp_path / ("own.csv" if write is table else "own.jsonl")
    write(path, [{"note": "x", "relation": "r", "language": "en", "subject": "s", "object": " o"}])
    assert own.read(path, "en", None).table.to_numpy().tolist() == [["r", "s", "s", "o", "o"]]


def test_a_label_of_null_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**ROWS[0], "subject_label": None}), encoding="utf-8")
    assert own.read(path, "en", None).table["subject_label"].tolist() == [""]


def test_unknown_languages_and_relations_name_those_there_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", ROWS)
    with pytest.raises(
        ValueError, match=r"own.jsonl: expected one of the languages de, en, got 'f"
    ):
        own.read(path, "fr", None)
    with pytest.raises(ValueError, match=r"unknown: \['x'\]; there are \['q', 'r'\]"):
        own.read(path, "en", ["x"])


def test_the_origin_is_the_file(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", ROWS)
    found = own.origin(path)
    assert found.name == "own.jsonl"
    assert found.files == {"own.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_spreadsheets_marks_line_ends_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "own.CSV"
    path.write_bytes(b"\xef\xbb\xbfrelation,language,subject,object\r\n\r\nr,en,s,o\r\n\r\n")
    assert len(own.read(path, "en", None).table) == 1


@pytest.fixture
def limit() -> Iterator[int]:
    """The csv module's limit, which is global and which other packages change, at its default."""
    before = csv.field_size_limit(2**17)
    yield 2**17
    csv.field_size_limit(before)


def test_the_csv_module_s_own_limit_is_left_as_it_was(tmp_path: Path, limit: int) -> None:
    path = table(tmp_path / "own.csv", [{**ROWS[0], "subject_label": "x" * (limit + 1)}])
    assert len(own.read(path, "en", None).table) == 1
    path.write_bytes(path.read_bytes() + b'"r","en"\n')
    with pytest.raises(ValueError, match=r"own.csv, line 3: expected 6 fields"):
        own.read(path, "en", None)
    assert csv.field_size_limit() == limit


@settings(max_examples=100)
@given(labels=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_any_labels_survive_in_both_forms(
    labels: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("own")
    rows = [{**ROWS[0], "subject_label": s, "object_label": o} for s, o in labels]
    one = own.read(jsonl(folder / "own.jsonl", rows), "en", None).table
    two = own.read(table(folder / "own.csv", rows), "en", None).table
    assert list(zip(one["subject_label"], one["object_label"], strict=True)) == labels
    pd.testing.assert_frame_equal(one, two)


PROMPTS = [
    ("The capital of France is", "France", "The capital of {subject} is {object}"),
    ("France has the capital <mask>.", "France", "{subject} has the capital {object}."),
    ("Country: France; capital: ____", "France", "Country: {subject}; capital: {object}"),
    ("What is France's capital?", "France", "What is {subject}'s capital? {object}"),
    ("[MASK] is the capital of France", "France", "{object} is the capital of {subject}"),
    ("France or France?", "France", None),
    ("It is", "France", None),
    ("France {is", "France", None),
    ("法国的首都是", "法国", "{subject}的首都是 {object}"),
]


@pytest.mark.parametrize(("prompt", "subject", "template"), PROMPTS)
def test_a_prompt_without_its_subject_is_a_template(
    tmp_path: Path, prompt: str, subject: str, template: str | None
) -> None:
    row = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
    row |= {"subject_label": subject, "prompt": prompt}
    raw = own.read(jsonl(tmp_path / "x.jsonl", [row]), "en", None)
    assert raw.templates == ({"r": (template,)} if template else {})
    assert bool(raw.notices) == (template is None)


@pytest.mark.parametrize("write", [jsonl, table])
def test_the_most_frequent_prompts_come_first_and_rare_ones_are_left_out(
    tmp_path: Path, write: Write
) -> None:
    texts = ["In {} is"] * 10 + ["{} has"] * 20 + ["Odd {}"]
    row = {"relation": "r", "language": "en", "object": "o"}
    rows = [
        row | {"subject": f"s{i}x", "prompt": text.format(f"s{i}x")} for i, text in enumerate(texts)
    ]
    path = write(tmp_path / ("x.jsonl" if write is jsonl else "x.csv"), rows)
    found = own.read(path, "en", None)
    assert found.templates == {"r": ("{subject} has {object}", "In {subject} is {object}")}


@pytest.mark.parametrize("value", ["Roma|Rome ", '["Roma", "Rome"]', ["Roma", " Rome", ""]])
def test_aliases_are_right_answers(tmp_path: Path, value: Any) -> None:
    row: dict[str, Any] = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
    path = jsonl(tmp_path / "x.jsonl", [row | {"aliases": value}])
    found = own.read(path, "en", None).table
    assert found["object_label"].tolist() == ["o", "Roma", "Rome"]
    assert found["object"].tolist() == ["o", "o#Roma", "o#Rome"]
    assert found["subject"].tolist() == ["s"] * 3


@pytest.mark.parametrize("value", [1, {"a": 1}, ["a", 1], '["a", 1]'])
def test_aliases_of_another_type_are_refused(tmp_path: Path, value: Any) -> None:
    row: dict[str, Any] = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
    path = jsonl(tmp_path / "x.jsonl", [row | {"aliases": value}])
    with pytest.raises(ValueError, match="line 1: expected a list of names in 'aliases'"):
        own.read(path, "en", None)


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), ("2.5", 2.5), (0, 0.0)])
def test_popularity_is_a_number_of_the_subject(tmp_path: Path, value: Any, number: float) -> None:
    row: dict[str, Any] = {"relation": "r", "language": "en", "object": "o", "aliases": ["p"]}
    rows = [row | {"subject": "s", "popularity": value}, row | {"subject": "t"}]
    found = own.read(jsonl(tmp_path / "x.jsonl", rows), "en", None)
    assert found.table["popularity"].fillna(-1).tolist() == [number, number, -1, -1]
    assert not found.notices
    none = own.read(jsonl(tmp_path / "x.jsonl", rows[1:]), "en", None)
    assert "popularity" not in none.table


@pytest.mark.parametrize("value", ["many", -1, True, "nan", "inf", [1]])
def test_popularity_of_another_type_is_refused(tmp_path: Path, value: Any) -> None:
    row: dict[str, Any] = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
    path = jsonl(tmp_path / "x.jsonl", [row | {"popularity": value}])
    with pytest.raises(ValueError, match="line 1: expected a number of at least 0 in 'popularity'"):
        own.read(path, "en", None)


def test_a_prompt_of_another_type_is_refused(tmp_path: Path) -> None:
    row: dict[str, Any] = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
    path = jsonl(tmp_path / "x.jsonl", [row | {"prompt": ["a"]}])
    with pytest.raises(ValueError, match=r"line 1: expected text in 'prompt', got \['a'\]"):
        own.read(path, "en", None)


def test_a_column_that_is_not_read_is_named(tmp_path: Path) -> None:
    row = {"relation": "r", "language": "en", "subject": "s", "object": "o", "note": "x"}
    raw = own.read(table(tmp_path / "x.csv", [row]), "en", None)
    assert raw.notices == ("columns that are not read: ['note']",)
