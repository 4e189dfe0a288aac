"""KLAR, BMLAMA, CounterFact and PopQA: each layout becomes the same facts with their templates."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuron_atlas.sources import bmlama, counterfact, klar, popqa
from neuron_atlas.sources.raw import Raw

COUNTRIES = {"France": "Paris", "Italy": "Rome", "Peru": "Lima"}
GERMAN = {"France": "Frankreich", "Italy": "Italien", "Rome": "Rom"}


def rows(raw: Raw) -> list[list[str]]:
    names = ["relation", "subject", "subject_label", "object", "object_label"]
    return raw.table[names].to_numpy().tolist()


def written(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def tabbed(path: Path, lines: list[list[str]]) -> Path:
    out = io.StringIO(newline="")
    csv.writer(out, dialect="excel-tab").writerows(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue().encode())
    return path


def german(name: str) -> str:
    return GERMAN.get(name, name)


def klar_record(templates: list[str], name: Callable[[str], str] = str) -> dict[str, Any]:
    samples = [
        {"index": i, "subject": name(s), "object": name(o)}
        for i, (s, o) in enumerate(COUNTRIES.items())
    ]
    return {"relation_name": "capital", "prompt_templates": templates, "samples": samples}


@pytest.fixture
def klar_folder(tmp_path: Path) -> Path:
    english = ["What is the capital of <subject>? The answer is: <mask>", "<subject>: <mask>"]
    record = klar_record(english)
    written(tmp_path / "klar/en/capital.json", record)
    record = klar_record(["Die Hauptstadt von <subject> ist: <mask>"], german)
    record["samples"] = [*record["samples"][::-1], {"index": 9, "subject": "Bern", "object": "x"}]
    written(tmp_path / "klar/de/capital.json", record)
    return tmp_path / "klar"


def test_klar_is_aligned_by_index(klar_folder: Path) -> None:
    english, german = (klar.read(klar_folder, code, None) for code in ("en", "de"))
    assert rows(english)[0] == ["capital", "France", "France", "Paris", "Paris"]
    assert english.templates["capital"] == (
        "What is the capital of {subject}? The answer is: {object}",
        "{subject}: {object}",
    )
    assert rows(german) == [
        ["capital", "Peru", "Peru", "Lima", "Lima"],
        ["capital", "Italy", "Italien", "Rome", "Rom"],
        ["capital", "France", "Frankreich", "Paris", "Paris"],
        ["capital", "Bern (9)", "Bern", "x", "x"],
    ]
    assert set(klar.origin(klar_folder, ["de"]).files) == {"de/capital.json", "en/capital.json"}


def test_what_klar_does_not_know_is_named(klar_folder: Path) -> None:
    record = klar_record(["<subject> <mask>"]) | {"notes": "x"}
    written(klar_folder / "en/capital.json", record)
    assert klar.read(klar_folder, "en", None).notices == ("keys that are not read: ['notes']",)
    record["samples"][1]["year"] = 1
    written(klar_folder / "en/capital.json", record)
    said = klar.read(klar_folder, "en", None).notices
    assert said == ("keys that are not read: ['notes', 'year']",)


KLAR_FAULTS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: r["samples"][1].pop("index"), "en/capital.json, sample 2: .*'index', got None"),
    (lambda r: r["samples"][0].update(subject=""), "sample 1: expected 'subject' to be filled"),
    (lambda r: r["samples"][2].update(object=["a"]), r"sample 3: expected text in 'object'"),
    (lambda r: r.update(prompt_templates=[]), "expected 'prompt_templates' to be a filled list"),
    (lambda r: r.update(prompt_templates=["{subject}"]), "expected no brace"),
    (lambda r: r.pop("samples"), "expected 'samples' to be a filled list, got no such key"),
]


@pytest.mark.parametrize(("change", "message"), KLAR_FAULTS)
def test_malformed_klar_is_refused(
    klar_folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    record = klar_record(["<subject>: <mask>"])
    change(record)
    written(klar_folder / "en/capital.json", record)
    with pytest.raises(ValueError, match=message):
        klar.read(klar_folder, "en", None)


HEAD = ["Prompt", "Ans", "Candidate Ans", "Subject"]


@pytest.fixture
def bmlama_folder(tmp_path: Path) -> Path:
    for code, name, text in (
        ("en", str, "The capital of {} is <mask>."),
        ("de", german, "Die Hauptstadt von {} ist <mask>."),
    ):
        lines = [
            [text.format(name(s)), name(o), "Rome, Paris", name(s)] for s, o in COUNTRIES.items()
        ]
        born = "{} was born in <mask>." if code == "en" else "{} wurde in <mask> geboren."
        lines.append([born.format("Ada"), "London", "London, Rom", "Ada"])
        tabbed(tmp_path / f"b/{code}.tsv", [HEAD, *lines])
    return tmp_path / "b"


def test_bmlama_is_aligned_by_line_and_its_relations_are_its_prompts(bmlama_folder: Path) -> None:
    english, german = (bmlama.read(bmlama_folder, code, None) for code in ("en", "de"))
    assert rows(german)[1] == ["the_capital_of_is", "Italy", "Italien", "Rome", "Rom"]
    assert rows(german)[3] == ["was_born_in", "Ada", "Ada", "London", "London"]
    assert english.templates == {
        "the_capital_of_is": ("The capital of {subject} is {object}.",),
        "was_born_in": ("{subject} was born in {object}.",),
    }
    assert german.templates["was_born_in"] == ("{subject} wurde in {object} geboren.",)
    assert bmlama.read(bmlama_folder, "de", ["was_born_in"]).table["subject"].tolist() == ["Ada"]


def test_a_prompt_without_its_subject_is_said(bmlama_folder: Path) -> None:
    path = bmlama_folder / "de.tsv"
    path.write_text(path.read_text().replace("von Frankreich", "Frankreichs"), encoding="utf-8")
    raw = bmlama.read(bmlama_folder, "de", None)
    assert len(raw.table) == 4
    path.write_text(path.read_text().replace("Frankreichs", "dort"), encoding="utf-8")
    raw = bmlama.read(bmlama_folder, "de", None)
    assert raw.notices == ("1 prompts do not name their subject exactly once",)
    assert len(raw.table) == 4


def test_bmlama_of_unequal_lengths_is_refused(bmlama_folder: Path) -> None:
    tabbed(bmlama_folder / "de.tsv", [HEAD, ["A ist <mask>", "b", "b", "A"]])
    with pytest.raises(ValueError, match=r"de.tsv: expected 4 lines as in en, got 1; lines are al"):
        bmlama.read(bmlama_folder, "de", None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([["Prompt", "Ans", "Subject"]], r"missing \['Candidate Ans'\]"),
        ([HEAD, ["a", "b", "c"]], "line 2: expected 4 fields as in the header, got 3"),
        ([HEAD, ["a", "", "c", "d"]], "line 2: expected 'Ans' to be filled"),
        ([HEAD], "expected at least one record, got none"),
    ],
)
def test_malformed_bmlama_is_refused(
    bmlama_folder: Path, lines: list[list[str]], message: str
) -> None:
    tabbed(bmlama_folder / "en.tsv", lines)
    with pytest.raises(ValueError, match=message):
        bmlama.read(bmlama_folder, "en", None)


def record(number: int, subject: str, answer: str, **changes: Any) -> dict[str, Any]:
    rewrite = {
        "prompt": "The capital of {} is",
        "relation_id": "P36",
        "target_new": {"str": "Oslo", "id": "Q585"},
        "target_true": {"str": answer, "id": f"Q{number}"},
        "subject": subject,
    }
    return {"case_id": number, "requested_rewrite": rewrite | changes, "neighborhood_prompts": []}


def test_counterfact_in_one_file_or_in_several_languages(tmp_path: Path) -> None:
    english = [record(i, s, o) for i, (s, o) in enumerate(COUNTRIES.items())]
    text = "Die Hauptstadt von {} ist"
    other = [
        record(i, german(s), german(o), prompt=text) for i, (s, o) in enumerate(COUNTRIES.items())
    ]
    alone = counterfact.read(written(tmp_path / "cf.json", english), "en", None)
    written(tmp_path / "m/en.json", english)
    written(tmp_path / "m/de.json", other[::-1])
    both = [counterfact.read(tmp_path / "m", code, None) for code in ("en", "de")]
    assert rows(alone) == rows(both[0])
    assert rows(both[1])[-1] == ["P36", "France", "Frankreich", "Paris", "Paris"]
    assert set(both[1].table["new_object"]) == {"Oslo"}
    assert alone.templates == {"P36": ("The capital of {subject} is {object}",)}
    assert both[1].templates == {"P36": ("Die Hauptstadt von {subject} ist {object}",)}
    assert "new answers" in alone.notices[0]
    assert set(counterfact.origin(tmp_path / "cf.json", ["en"]).files) == {"cf.json"}


def test_knowedit_has_its_relations_in_its_prompts(tmp_path: Path) -> None:
    facts = [
        {"subject": s, "prompt": f"What is {s}'s capital?", "target_new": "x", "ground_truth": [o]}
        for s, o in COUNTRIES.items()
    ]
    raw = counterfact.read(written(tmp_path / "zsre.json", facts), "en", None)
    assert rows(raw)[0] == ["what_is_s_capital", "France", "France", "Paris", "Paris"]
    assert raw.templates == {"what_is_s_capital": ("What is {subject}'s capital? {object}",)}


def test_counterfact_that_tells_no_relation_is_counted(tmp_path: Path) -> None:
    facts = [
        {"subject": s, "prompt": prompt, "target_new": "x", "ground_truth": ["y"]}
        for s, prompt in (("a1", "a1 is in"), ("b1", "b1 is in"), ("c1", "that is in"))
    ]
    raw = counterfact.read(written(tmp_path / "zsre.json", facts), "en", None)
    assert raw.table["subject"].tolist() == ["a1", "b1"]
    assert raw.notices[1:] == ("1 records tell no relation and are left out",)
    none = counterfact.read(written(tmp_path / "zsre.json", facts[:2]), "en", None)
    assert not none.notices[1:]


def test_two_files_of_one_language_are_refused(tmp_path: Path) -> None:
    for part in "ab":
        written(tmp_path / f"m/{part}/en.json", [record(1, "France", "Paris")])
    with pytest.raises(ValueError, match=r"b/en.json: expected one file per language, got a/en"):
        counterfact.read(tmp_path / "m", "en", None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "expected a filled list of records"),
        ([1], "record 1: expected a JSON object, got 1"),
        ([record(1, "", "x")], "record 1: expected 'subject' to be filled"),
        ([record(1, "a", "x", target_true={"id": "Q1"})], "record 1: expected 'str'"),
        ([record(1, "a", "x", target_true=3)], "record 1: expected text in 'target_true', got 3"),
        ([record(1, "a", "x", relation_id="a b")], "record 1: expected a relation's name"),
        ([record(1, "a", "x", prompt=None)], "record 1: expected text in 'prompt', got None"),
    ],
)
def test_malformed_counterfact_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counterfact.read(written(tmp_path / "cf.json", value), "en", None)


POPQA = ["id", "subj", "prop", "obj", "subj_id", "obj_id", "question", "o_aliases", "s_pop"]


def test_popqa_has_aliases(tmp_path: Path) -> None:
    names = '["City of Light", "Paname"]'
    lines = [
        [
            "1",
            "France",
            "capital of",
            "Paris",
            "7",
            "9",
            "What is the capital of France?",
            names,
            "5",
        ]
    ]
    raw = popqa.read(tabbed(tmp_path / "popqa.tsv", [POPQA, *lines]), "en", None)
    assert rows(raw) == [
        ["capital_of", "7", "France", "9", "Paris"],
        ["capital_of", "7", "France", "9#City of Light", "City of Light"],
        ["capital_of", "7", "France", "9#Paname", "Paname"],
    ]
    assert raw.templates == {"capital_of": ("What is the capital of {subject}? {object}",)}
    assert raw.table["popularity"].tolist() == [5.0] * 3
    assert not [notice for notice in raw.notices if "popularity" in notice]
    lines[0][4] = "x"
    with pytest.raises(ValueError, match="line 2: expected a whole number in 'subj_id', got 'x'"):
        popqa.read(tabbed(tmp_path / "popqa.tsv", [POPQA, *lines]), "en", None)
