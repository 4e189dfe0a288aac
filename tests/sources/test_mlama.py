"""mLAMA and mParaRel: every line becomes a row, a zip gives what the folder gives."""

import json
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from neuron_atlas.sources import mlama
from neuron_atlas.sources.mlama import Patterns
from neuron_atlas.sources.raw import COLUMNS, Raw

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEURON_ATLAS_TEST_DATA", ROOT.parent / "shared" / "data"))
MLAMA, PATTERNS = DATA / "mlama1.1", DATA / "mpararel" / "patterns"
needs_mlama = pytest.mark.skipif(not MLAMA.is_dir(), reason=f"mLAMA 1.1 is not in {MLAMA}")
needs_patterns = pytest.mark.skipif(not PATTERNS.is_dir(), reason=f"no mParaRel in {PATTERNS}")


def line(subject: str = "Q1", answer: str = "Q2", **labels: str) -> dict[str, object]:
    named = {"sub_label": f"the {subject}", "obj_label": f"the {answer}", **labels}
    return {"sub_uri": subject, "obj_uri": answer, "lineid": 0, **named}


SMALL: dict[str, list[dict[str, object]]] = {
    "en/templates.jsonl": [
        {"relation": "P1", "template": "[X] is in [Y] ."},
        {"relation": "P1", "template": "[Y] has [X]"},
        {"relation": "P3", "template": "[X] or [Y]"},
        {"relation": "P9", "template": "[X] then [Y]"},
    ],
    "en/P1.jsonl": [line(), line("Q3", sub_label="[X] of {it}\n", obj_label="")],
    "en/P2.jsonl": [line("Q4")],
    "de/templates.jsonl": [{"relation": "P1", "template": "[X] in [Y]"}],
    "de/P3.jsonl": [line()],
}


def write(path: Path, files: dict[str, list[dict[str, object]]]) -> Path:
    for name, rows in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (path / name).write_text(text, encoding="utf-8")
    return path


def packed(folder: Path, out: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.jsonl")):
            archive.write(path, f"{prefix}{path.relative_to(folder).as_posix()}")
    return out


def same(one: Raw, two: Raw) -> None:
    assert (one.language, one.templates) == (two.language, two.templates)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_rows_keep_the_source_s_order_and_labels(tmp_path: Path) -> None:
    raw = mlama.read(write(tmp_path, SMALL), "en", None)
    assert raw.table.columns.tolist() == list(COLUMNS)
    assert raw.table.to_numpy().tolist() == [
        ["P1", "Q1", "the Q1", "Q2", "the Q2"],
        ["P1", "Q3", "[X] of {it}\n", "Q2", ""],
        ["P2", "Q4", "the Q4", "Q2", "the Q2"],
    ]
    assert raw.templates == {
        "P1": ("{subject} is in {object} .", "{object} has {subject}"),
        "P2": (),
    }


def test_a_relation_of_another_language_gives_its_templates_and_no_rows(tmp_path: Path) -> None:
    raw = mlama.read(write(tmp_path, SMALL), "en", ["P3", "P2"])
    assert raw.table["relation"].tolist() == ["P2"]
    assert raw.templates == {"P3": ("{subject} or {object}",), "P2": ()}
    none = mlama.read(tmp_path, "de", ["P2"])
    assert none.table.empty
    assert (none.table.dtypes == raw.table.dtypes).all()


def test_relations_are_those_with_triples_in_any_language(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    assert set(mlama.read(tmp_path, "en", None).table["relation"]) == {"P1", "P2"}
    with pytest.raises(ValueError, match=r"unknown: \['P9'\]; there are \['P1', 'P2', 'P3'\]"):
        mlama.read(tmp_path, "en", ["P9"])


def test_an_unknown_language_names_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    for ask in (
        lambda: mlama.read(tmp_path, "fr", None),
        lambda: mlama.read(tmp_path, "", ["P1"]),
    ):
        with pytest.raises(ValueError, match=r"one of the languages de, en, got '(fr)?'; choose"):
            ask()


def test_folder_parent_and_archives_give_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "up" / "mlama1.1", SMALL)
    whole = mlama.read(folder, "en", None)
    same(mlama.read(folder.parent, "en", None), whole)
    for number, prefix in enumerate(("", "mlama1.1/", "a/b/")):
        same(mlama.read(packed(folder, tmp_path / f"{number}.zip", prefix), "en", None), whole)


def test_two_copies_side_by_side_are_ambiguous(tmp_path: Path) -> None:
    write(tmp_path / "one", SMALL)
    write(tmp_path / "two", SMALL)
    with pytest.raises(ValueError, match=r"in one folder, found \['one', 'two'\]; give the folder"):
        mlama.read(tmp_path, "en", None)


def test_the_origin_has_the_archive_s_digest_or_each_file_s(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", SMALL)
    assert set(mlama.origin(folder).files) == set(SMALL)
    assert set(mlama.origin(folder, ["de"]).files) == {"de/templates.jsonl", "de/P3.jsonl"}
    found = mlama.origin(packed(folder, tmp_path / "m.zip"))
    assert set(found.files) == {"m.zip"}
    assert (found.name, found.version, found.licence) == ("mLAMA", "1.1", "CC-BY-NC 4.0")


def test_paraphrases_of_what_is_missing_are_none(tmp_path: Path) -> None:
    write(tmp_path, {"en/P1.jsonl": [{"pattern": "[Y]: [X]", "score": 1}, {"pattern": "[X]"}]})
    found = Patterns({"P1": ()}, {"P1": ("{object}: {subject}", "{subject}")})
    assert (
        mlama.read_patterns(tmp_path, "en", None)
        == mlama.read_patterns(tmp_path, "en", ["P2", "P1"])
        == found
    )
    assert (
        mlama.read_patterns(tmp_path, "en", ["P2"])
        == mlama.read_patterns(tmp_path, "de", None)
        == Patterns({}, {})
    )
    archive = packed(tmp_path, tmp_path.with_suffix(".zip"), "patterns/")
    assert mlama.read_patterns(archive, "en", None) == found


def counted(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@needs_mlama
def test_every_line_of_the_real_archive_is_a_row() -> None:
    languages = sorted(path.name for path in MLAMA.iterdir())
    with pytest.raises(ValueError, match=f"languages {', '.join(languages)}, got 'none'"):
        mlama.read(MLAMA, "none", None)
    for language in languages:
        raw = mlama.read(MLAMA, language, None)
        files = {path.stem: counted(path) for path in (MLAMA / language).glob("P*.jsonl")}
        assert raw.table["relation"].value_counts().to_dict() == files
        assert set(raw.templates) == set(files)
        written = counted(MLAMA / language / "templates.jsonl")
        assert sum(map(len, raw.templates.values())) == written > 30
        slots = [
            (t.count("{subject}"), t.count("{object}")) for v in raw.templates.values() for t in v
        ]
        assert set(slots) == {(1, 1)}


@needs_mlama
def test_the_real_archive_zipped_gives_the_same(tmp_path: Path) -> None:
    out = tmp_path / "mlama.zip"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for code in ("de", "zh") for p in (MLAMA / code).iterdir()):
            archive.write(path, path.relative_to(MLAMA.parent))
    for language in ("de", "zh"):
        same(mlama.read(out, language, ["P17", "P36"]), mlama.read(MLAMA, language, ["P17", "P36"]))
    same(mlama.read(out, "zh", None), mlama.read(MLAMA, "zh", None))


@needs_patterns
def test_every_line_of_the_real_patterns_is_a_template() -> None:
    for folder in sorted(PATTERNS.iterdir()):
        found = mlama.read_patterns(PATTERNS, folder.name, None)
        counts = {path.stem: counted(path) for path in folder.glob("*.jsonl")}
        both = {name: len(texts) + len(found.checked[name]) for name, texts in found.others.items()}
        assert both == counts
        assert len(counts) > 30


def test_what_a_human_has_checked_comes_first(tmp_path: Path) -> None:
    texts = [("[X] a [Y]", False), ("[X] b [Y]", True), ("[X] c [Y]", None), ("[X] d [Y]", True)]
    rows: list[dict[str, object]] = [
        {"pattern": text} | ({} if mark is None else {"checked-by-human": mark})
        for text, mark in texts
    ]
    write(tmp_path, {"en/P1.jsonl": rows})
    found = mlama.read_patterns(tmp_path, "en", None)
    assert found.checked == {"P1": ("{subject} b {object}", "{subject} d {object}")}
    assert found.others == {"P1": ("{subject} a {object}", "{subject} c {object}")}


@pytest.mark.parametrize("mark", ["yes", 1, None, "true"])
def test_a_mark_of_quality_that_is_not_understood_is_refused(tmp_path: Path, mark: object) -> None:
    write(tmp_path, {"en/P1.jsonl": [{"pattern": "[X] [Y]", "checked-by-human": mark}]})
    with pytest.raises(ValueError, match="line 1: expected true or false in 'checked-by-human'"):
        mlama.read_patterns(tmp_path, "en", None)
