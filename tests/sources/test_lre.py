"""LRE: one row per sample and object, templates with and without examples, labels as ids."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from neuron_atlas.sources import lre
from neuron_atlas.sources.raw import COLUMNS

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEURON_ATLAS_TEST_DATA", ROOT.parent / "shared" / "data")) / "lre"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"LRE is not in {DATA}")

CAPITAL: dict[str, Any] = {
    "name": "country capital",
    "prompt_templates": ["The capital of {} is", "{}:"],
    "prompt_templates_zs": ["{}:", "Of {} it is "],
    "properties": {"symmetric": False},
    "samples": [
        {"subject": "Peru", "object": "Lima"},
        {"subject": " Bolivia ", "object": ["La Paz", "Sucre "]},
    ],
}


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def packed(folder: Path, out: Path) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.json")):
            archive.write(path, f"data/{path.relative_to(folder).as_posix()}")
    return out


def test_labels_are_ids_and_each_object_has_a_row(tmp_path: Path) -> None:
    write(tmp_path / "factual" / "capital.json", CAPITAL)
    raw = lre.read(tmp_path, "en", None)
    assert raw.language == "en"
    assert raw.table.columns.tolist() == list(COLUMNS)
    assert raw.table.to_numpy().tolist() == [
        ["capital", "Peru", "Peru", "Lima", "Lima"],
        ["capital", "Bolivia", "Bolivia", "La Paz", "La Paz"],
        ["capital", "Bolivia", "Bolivia", "Sucre", "Sucre"],
    ]
    assert raw.templates == {
        "capital": (
            "The capital of {subject} is {object}",
            "{subject}: {object}",
            "Of {subject} it is {object}",
        )
    }


def test_a_slot_that_is_missing_or_doubled_is_left_to_the_reader_s_user(tmp_path: Path) -> None:
    write(tmp_path / "r.json", {**CAPITAL, "prompt_templates": ["{} {}", "none"]})
    found = lre.read(tmp_path, "en", None).templates["r"]
    assert found[:2] == ("{subject} {subject} {object}", "none {object}")


def test_only_relations_asked_for_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / f"{name}.json", CAPITAL)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    raw = lre.read(tmp_path, "en", ["b", "a"])
    assert raw.table["relation"].unique().tolist() == list(raw.templates) == ["b", "a"]
    assert lre.read(tmp_path, "en", []).table.empty
    with pytest.raises(ValueError, match=r"unknown: \['c'\]; there are \['a', 'b', 'broken'\]"):
        lre.read(tmp_path, "en", ["c"])


def test_other_languages_than_english_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of the languages en, got 'de'; choose"):
        lre.read(tmp_path, "de", None)


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = write(tmp_path / "r.json", CAPITAL).stat().st_size
    monkeypatch.setattr(lre, "MAX_BYTES", size)
    assert len(lre.read(tmp_path, "en", None).table) == 3
    monkeypatch.setattr(lre, "MAX_BYTES", size - 1)
    with pytest.raises(ValueError, match=rf"r.json: expected at most {size - 1} bytes, got more"):
        lre.read(tmp_path, "en", None)


@needs_data
def test_every_sample_of_the_real_relations_is_a_row() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in DATA.rglob("*.json")}
    assert len(files) == 47
    raw = lre.read(DATA, "en", None)
    counts = {name: len(value["samples"]) for name, value in files.items()}
    assert raw.table["relation"].value_counts().to_dict() == counts
    for name, value in files.items():
        prompts = {*value["prompt_templates"], *value["prompt_templates_zs"]}
        assert len(raw.templates[name]) == len(prompts)
    slots = {(t.count("{subject}"), t.count("{object}")) for v in raw.templates.values() for t in v}
    assert slots == {(1, 1)}


@needs_data
def test_the_real_relations_zipped_give_the_same(tmp_path: Path) -> None:
    out = packed(DATA / "bias", tmp_path / "lre.zip")
    one, two = lre.read(out, "en", None), lre.read(DATA / "bias", "en", None)
    pd.testing.assert_frame_equal(one.table, two.table)
    assert one.templates == two.templates
    assert set(lre.origin(out).files) == {"lre.zip"}
    assert len(lre.origin(DATA).files) == 47
