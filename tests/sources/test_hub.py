"""Facts of the Hub: one revision, no code, and the data set's own column names."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from neuron_atlas.sources import hub
from neuron_atlas.sources.own import REQUIRED

ROOT = Path(__file__).parents[2]
REVISION = "0123456789" * 4
COLUMNS = {
    "relation": "predicate",
    "language": "lang",
    "subject": "s",
    "subject_label": "name",
    "object": "o",
}
ROWS: dict[str, list[Any]] = {
    "predicate": ["p", "q", "p"],
    "lang": ["en", "de", "en"],
    "s": ["S1", "S2", "S3"],
    "name": ["one", "zwei", None],
    "o": ["O1", "O2", "O3"],
    "score": [0.1, 0.2, 0.3],
}
Calls = list[tuple[tuple[str, ...], dict[str, Any]]]


def read(**changes: Any) -> Any:
    given: dict[str, Any] = {"dataset": "owner/name", "revision": REVISION, "subset": None}
    given |= {"split": "train", "columns": COLUMNS, "language": "en", "relations": None, **changes}
    return hub.read(given.pop("dataset"), given.pop("revision"), **given)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What the loader was asked for."""
    return loads(monkeypatch, datasets.Dataset.from_dict(ROWS))


def loads(monkeypatch: pytest.MonkeyPatch, answer: Any) -> Calls:
    seen: Calls = []

    def load(*args: str, **options: Any) -> Any:
        seen.append((args, options))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(hub, "_local_copy", lambda *_: None)
    return seen


def test_columns_are_renamed_and_a_label_of_none_is_empty(calls: Calls) -> None:
    raw = read()
    assert (raw.language, raw.templates) == ("en", {})
    assert raw.table.to_numpy().tolist() == [
        ["p", "S1", "one", "O1", "O1"],
        ["p", "S3", "", "O3", "O3"],
    ]
    assert read(relations=["q"]).table.empty
    assert len(calls) == 2


def test_one_revision_is_loaded_and_never_its_code(calls: Calls) -> None:
    read(subset="part", split="test")
    asked = {"name": "part", "revision": REVISION, "split": "test"}
    assert calls == [(("owner/name",), asked)]


def test_one_column_may_serve_twice(calls: Calls) -> None:
    raw = read(columns={**COLUMNS, "subject": "o"}, language="de")
    assert raw.table[["subject", "object"]].to_numpy().tolist() == [["O2", "O2"]]
    assert len(calls) == 1


def test_more_rows_than_a_batch_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"S{n}" for n in range(2500)]
    rows = {name: ids if name == "subject" else ["x"] * 2500 for name in REQUIRED}
    loads(monkeypatch, datasets.Dataset.from_dict(rows))
    raw = read(columns={name: name for name in REQUIRED}, language="x")
    assert raw.table["subject"].tolist() == ids


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": "name"}, r"facts.hub.dataset must be owner/name, got 'name'"),
        ({"dataset": "../owner/name"}, r"facts.hub.dataset must be owner/name"),
        ({"dataset": "/data/name"}, r"facts.hub.dataset must be owner/name"),
        ({"dataset": "owner/name\n"}, r"facts.hub.dataset must be owner/name"),
        ({"revision": "main"}, r"facts.hub.revision must be the 40 .* got 'main'"),
        ({"revision": REVISION[:-1]}, r"facts.hub.revision must be the 40"),
        ({"revision": "G" * 40}, r"facts.hub.revision must be the 40"),
        ({"columns": {**COLUMNS, "label": "name"}}, r"unknown: \['label'\]"),
        ({"columns": {"relation": "p"}}, r"missing: \['language', 'subject', 'object'\]"),
    ],
)
def test_arguments_are_checked_before_anything_is_loaded(
    calls: Calls, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read(**changes)
    assert calls == []


def changed(**columns: list[Any]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({**ROWS, **columns})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: FileNotFoundError("no\nsuch"), r"expected split 'train' .* 'no\\nsuch'; check"),
        (lambda: RuntimeError("scripts are not supported"), r"got RuntimeError 'scripts are"),
        (lambda: datasets.exceptions.DatasetNotFoundError("x"), r"got DatasetNotFoundError 'x'"),
        (lambda: datasets.DatasetDict(train=changed()), r"expected one split, got DatasetDict"),
        (lambda: changed().remove_columns("o"), r"expected the columns \['o'\], got \['predicate'"),
        (lambda: changed(o=[1.5, 2.5, 3.5]), r", row 1: expected text in 'object', got 1.5; corr"),
        (lambda: changed(s=["S1", None, "S3"]), r", row 2: expected text in 'subject', got None"),
        (
            lambda: changed(name=[["a"], ["b"], []]),
            r"row 1: expected text in 'subject_label', got \[",
        ),
        (
            lambda: changed(s=["S1", "S2", " "]),
            r", row 3: expected 'subject' to be filled, got ' '",
        ),
        (lambda: changed(predicate=["p", "a/b", "p"]), r"row 2: expected a relation's name"),
        (lambda: changed(lang=["de"] * 3), r"expected one of the languages de, got 'en'"),
        (lambda: changed().select([]), r"expected one of the languages , got 'en'"),
    ],
)
def test_what_cannot_be_used_names_the_data_set(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any], reason: str
) -> None:
    loads(monkeypatch, answer())
    with pytest.raises(ValueError, match=rf"^owner/name@{REVISION}.*{reason}") as error:
        read()
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


def typed(monkeypatch: pytest.MonkeyPatch, column: str, values: list[Any], feature: Any) -> None:
    rows = {**ROWS, column: values}
    features = datasets.Dataset.from_dict(ROWS).features.copy()
    features[column] = feature
    loads(monkeypatch, datasets.Dataset.from_dict(rows, features=datasets.Features(features)))


def test_a_class_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "predicate", [1, 0, 1], datasets.ClassLabel(names=["capital", "river"]))
    assert read().table["relation"].tolist() == ["river", "river"]
    typed(monkeypatch, "lang", [1, 0, 1], datasets.ClassLabel(names=["de", "en"]))
    assert read().table["subject"].tolist() == ["S1", "S3"]


def test_no_class_is_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "name", [0, 0, -1], datasets.ClassLabel(names=["one"]))
    assert read().table["subject_label"].tolist() == ["one", ""]
    typed(monkeypatch, "o", [0, 0, -1], datasets.ClassLabel(names=["one"]))
    with pytest.raises(ValueError, match="row 3: expected text in 'object', got None"):
        read()


def test_whole_numbers_are_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "s", [7, 8, 9], datasets.Value("int64"))
    assert read().table["subject"].tolist() == ["7", "9"]


@pytest.mark.parametrize(
    ("values", "feature", "message"),
    [
        ([True, False, True], datasets.Value("bool"), "in the column 's', got True"),
        (
            [["a"], ["b"], ["c"]],
            datasets.List(datasets.Value("string")),
            r"in 'subject', got \['a'\]",
        ),
        ([0.5, 1.0, 2.0], datasets.Value("float64"), "in 'subject', got 0.5"),
        (["a", "b", None], datasets.Value("string"), "row 3: expected text in 'subject', got None"),
    ],
)
def test_other_types_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: list[Any], feature: Any, message: str
) -> None:
    typed(monkeypatch, "s", values, feature)
    with pytest.raises(ValueError, match=message):
        read()


def test_each_language_may_have_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"relation": ["P36"] * 2, "subject": ["France", "Peru"], "true": ["Paris", "Lima"]}
    stems = {"stem": ["The capital of France is", "The capital of Peru is"]}
    seen = loads(monkeypatch, datasets.Dataset.from_dict({**rows, **stems}))
    columns = {"relation": "relation", "subject": "subject", "object": "true", "prompt": "stem"}
    raw = read(split="{language}", columns=columns, language="English")
    assert seen[0][1]["split"] == "English"
    assert raw.table["object_label"].tolist() == ["Paris", "Lima"]
    assert raw.templates == {"P36": ("The capital of {subject} is {object}",)}
    with pytest.raises(ValueError, match=r"must name columns for .*missing: \['language'\]"):
        read(split="train", columns=columns)


def test_aliases_are_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = datasets.List(datasets.Value("string"))
    typed(monkeypatch, "score", [["I", "One"], [], None], names)
    raw = read(columns={**COLUMNS, "aliases": "score"})
    assert raw.table[["subject", "object", "object_label"]].to_numpy().tolist() == [
        ["S1", "O1", "O1"], ["S1", "O1#I", "I"], ["S1", "O1#One", "One"], ["S3", "O3", "O3"],
    ]  # fmt: skip


CARD = """---
configs:
- config_name: default
  data_files:
  - {split: English, path: data/English-*}
  - {split: French, path: data/French-*}
---
"""
PROGRAM = """
import json, sys
from neuron_atlas.sources import hub
columns = {"relation": "relation", "subject": "subject", "object": "true", "prompt": "stem"}
how = {"subset": None, "split": "{language}", "columns": columns, "relations": None}
for language in sys.argv[2:]:
    raw = hub.read("owner/name", sys.argv[1], language=language, **how)
    print(json.dumps([raw.table["object"].tolist(), raw.templates]))
"""


def cached(home: Path) -> None:
    """Write the layout of the hub's own cache: blobs, and links to them in a snapshot."""
    folder = home / "hub" / "datasets--owner--name"
    snapshot = folder / "snapshots" / REVISION
    (snapshot / "data").mkdir(parents=True)
    (folder / "blobs").mkdir()
    texts = {"English": "The capital of France is", "French": "La capitale de la France est"}
    for number, (split, stem) in enumerate(texts.items()):
        subject = "France"
        row = {"relation": "P36", "subject": subject, "true": f"Paris {split}", "stem": stem}
        blob = folder / "blobs" / str(number)
        pd.DataFrame([row]).to_parquet(blob)
        (snapshot / "data" / f"{split}-00000-of-00001.parquet").symlink_to(blob)
    (snapshot / "README.md").write_text(CARD)


def offline(home: Path, revision: str, *languages: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, revision, *languages],
        env={
            **os.environ,
            **{"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")},
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_network_the_local_copy_of_the_commit_is_read(tmp_path: Path) -> None:
    cached(tmp_path)
    done = offline(tmp_path, REVISION, "English", "French")
    assert done.returncode == 0, done.stderr[-2000:]
    english, french = map(json.loads, done.stdout.splitlines())
    assert english == [["Paris English"], {"P36": ["The capital of {subject} is {object}"]}]
    assert french == [["Paris French"], {"P36": ["La capitale de la {subject} est {object}"]}]


@pytest.mark.parametrize(
    ("revision", "language", "message"),
    [
        ("1" * 40, "English", "expected split 'English'.*got ConnectionError"),
        (REVISION, "German", "expected split 'German'.*got ValueError"),
    ],
)
def test_another_commit_or_split_is_not_made_up(
    tmp_path: Path, revision: str, language: str, message: str
) -> None:
    cached(tmp_path)
    done = offline(tmp_path, revision, language)
    assert done.returncode != 0
    assert re.search(message, done.stderr)
