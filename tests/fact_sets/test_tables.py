"""Every source becomes the same tables, on made-up data and on the real ones."""

import csv
import json
import os
import re
import zipfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from ruamel.yaml import YAML

import facts as stage
import scripts
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEURON_ATLAS_TEST_DATA", ROOT.parent / "shared" / "data"))
LANGUAGES = ("en", "de")
COUNTRIES = (
    "France",
    "Spain",
    "Italy",
    "Japan",
    "Kenya",
    "Peru",
    "Chile",
    "Egypt",
    "India",
    "Nepal",
)
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"{DATA} is absent; NEURON_ATLAS_TEST_DATA names another folder"
)


def triples(language: str) -> list[dict[str, str]]:
    """Ten countries, two relations, labels that differ by language."""
    rows = []
    for (i, country), relation in product(enumerate(COUNTRIES), ("P36", "P30")):
        thing = f"City{i}" if relation == "P36" else f"Land{i % 3}"
        end = "" if language == "en" else "ia"
        row = {"subject": f"Q{i}", "subject_label": country + end}
        rows.append(row | {"relation": relation, "object": thing, "object_label": thing + end})
    return rows


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def mlama(root: Path) -> Path:
    for code in LANGUAGES:
        for relation in ("P36", "P30"):
            names = {"subject": "sub_uri", "object": "obj_uri"}
            names |= {"subject_label": "sub_label", "object_label": "obj_label"}
            found = [row for row in triples(code) if row["relation"] == relation]
            rows = [{names[k]: v for k, v in row.items() if k in names} for row in found]
            lines(root / code / f"{relation}.jsonl", rows)
        texts = {"P36": "The capital of [X] is [Y] .", "P30": "[X] is located in [Y] ."}
        lines(
            root / code / "templates.jsonl",
            [{"relation": r, "template": t} for r, t in texts.items()],
        )
    return root


def own(path: Path) -> Path:
    rows = [row | {"language": code} for code in LANGUAGES for row in triples(code)]
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, sorted(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines(path, rows)
    return path


def own_templates(folder: Path) -> Path:
    folder.mkdir()
    for code in LANGUAGES:
        texts = {"P36": ["The capital of {subject} is"], "P30": ["{subject} is located in"]}
        content = {"name": code, "separator": " ", "templates": texts}
        YAML(typ="safe").dump(content, folder / f"{code}.yaml")
    return folder


def prepared(
    root: Path, *, encoder: bool = False, languages: Any = LANGUAGES, **changes: Any
) -> None:
    """Write what the stage needs in its folder: parameters, and what is known of the model."""
    section = read_yaml(ROOT / "params.yaml")["facts"] | {
        "templates": str(ROOT / "src/neuron_atlas/templates"),
        "max_majority_share": 1.0,
    }
    content = {"languages": {code: {} for code in languages}, "seed": 0}
    content |= {"recall": {"shots": 2, "demonstrations": {"shots": 2, "blocks": 2}}}
    content |= {"facts": section | changes}
    YAML(typ="safe").dump(content, root / "params.yaml")
    store.write_json(root / "model/provenance.json", {"architecture": {"encoder": encoder}})


def made(root: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> dict[str, pd.DataFrame]:
    """Run the stage and return each language's table."""
    prepared(root, **how)
    monkeypatch.chdir(root)
    stage.main(Path("model"), Path("facts"), Path("questions"), Path("report"))
    return {path.stem: fact_table.read_facts(path) for path in sorted((root / "facts").iterdir())}


def reports(root: Path) -> dict[str, Any]:
    return {path.stem: store.read_json(path) for path in sorted((root / "report").iterdir())}


def essence(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    columns = ["fact", "prompt", "answer", "separator", "objects", "candidates", "split"]
    return {code: table[columns].to_dict("records") for code, table in tables.items()}


def test_mlama_its_archive_jsonl_csv_and_the_hub_give_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    archive = tmp_path / "mlama.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(p for p in mlama(data / "m").rglob("*") if p.is_file()):
            zipped.write(path, Path("mlama1.1") / path.relative_to(data / "m"))
    texts = {"templates": str(own_templates(tmp_path / "texts"))}
    rows = [row | {"language": code} for code in LANGUAGES for row in triples(code)]
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *_a, **_k: datasets.Dataset.from_list(rows)
    )
    columns = {name: name for name in rows[0]}
    hub = {"dataset": "a/b", "revision": 40 * "0", "subset": None, "split": "test"}
    ways: list[dict[str, Any]] = [
        {"source": "mlama", "path": str(data / "m")},
        {"source": "mlama", "path": str(archive)},
        {"source": "jsonl", "path": str(own(tmp_path / "own.jsonl")), **texts},
        {"source": "csv", "path": str(own(tmp_path / "own.csv")), **texts},
        {"source": "hub", "hub": {**hub, "columns": columns}, **texts},
    ]
    found = []
    for i, way in enumerate(ways):
        (tmp_path / str(i)).mkdir()
        found.append(essence(made(tmp_path / str(i), monkeypatch, **way)))
    assert len(found[0]["en"]) == len(found[0]["de"]) == 20
    assert found[0]["de"][0]["answer"].endswith("ia")
    assert all(one == found[0] for one in found)


def test_the_tables_open_in_datasets_and_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = made(tmp_path, monkeypatch, source="mlama", path=str(mlama(tmp_path / "m")))
    file = str(tmp_path / "facts" / "en.parquet")
    cache = str(tmp_path / "cache")
    opened = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=cache)
    assert opened.column_names == list(fact_table.COLUMNS)
    assert opened["prompt"][:] == tables["en"]["prompt"].tolist()
    assert opened["candidates"][0] == tables["en"]["candidates"][0]
    assert pd.read_parquet(file)["answer"].tolist() == tables["en"]["answer"].tolist()


def test_an_encoder_is_asked_with_the_whole_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mlama(tmp_path / "m")
    patterns = tmp_path / "patterns"
    for code in LANGUAGES:
        lines(patterns / code / "P36.jsonl", [{"pattern": "[Y] is the capital of [X]."}])
    how: dict[str, Any] = {"source": "mlama", "path": str(folder), "templates": str(patterns)}
    decoder = made(tmp_path, monkeypatch, **how)
    assert set(decoder["en"]["template"]) == {0}
    assert reports(tmp_path)["en"]["relations"]["P36"]["templates"]["left_out"] == {
        **{"blank": 0, "bad_slots": 0, "object_not_last": 1, "repeated": 0, "beyond_paraphrases": 0}
    }
    other = tmp_path / "encoder"
    other.mkdir()
    encoder = made(other, monkeypatch, encoder=True, **how)["en"]
    prompts = set(encoder.loc[encoder["subject_label"] == "Peru", "prompt"])
    assert prompts == {
        "The capital of Peru is{object} .",
        "{object} is the capital of Peru.",
        "Peru is located in{object} .",
    }
    spans = [
        row["prompt"][row["subject_start"] : row["subject_end"]] for row in store.records(encoder)
    ]
    assert spans == encoder["subject_label"].tolist()


def test_a_label_that_holds_a_slot_is_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mlama(tmp_path / "m")
    path = folder / "en" / "P36.jsonl"
    path.write_text(path.read_text().replace('"Peru"', '"{object} <script>"'), encoding="utf-8")
    tables = made(tmp_path, monkeypatch, source="mlama", path=str(folder))
    assert len(tables["en"][tables["en"]["relation"] == "P36"]) == 9
    assert reports(tmp_path)["en"]["relations"]["P36"]["dropped"]["empty_label"] == 1
    assert reports(tmp_path)["de"]["relations"]["P36"]["dropped"]["lost_elsewhere"] == 1


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"path": "nowhere"}, "facts.path nowhere does not exist"),
    ({"languages": ("en", "xx")}, "xx"),
    ({"relations": ["P36", "P99"]}, "unknown: ['P99']"),
    (
        {"relations": ["P36"]},
        "the facts have one relation, 'P36'; at least two relations are needed, since",
    ),
    ({"min_languages": 3}, "facts.min_languages must be in [1, 2]"),
    ({"min_per_relation": 11}, "no relation has facts.min_per_relation 11 facts"),
    ({"source": "hub"}, "facts.source is hub, but facts.hub is null"),
    ({"source": "lre"}, "language"),
    ({"templates": "nowhere"}, "facts.templates nowhere does not exist"),
    ({"source": "csv"}, "facts.path m must end in .csv"),
    ({"max_answer_tokens": 2}, "model/tokenizer.json does not exist"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    mlama(tmp_path / "m")
    prepared(tmp_path, **({"source": "mlama", "path": "m"} | changes))
    done = scripts.run(tmp_path, "facts", "model", "facts", "questions", "report")
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "model", "params.yaml"]


def pairs(code: str, relation: str) -> set[tuple[str, str]]:
    """The (subject, object) ids of one relation and language, read without the library."""
    path = DATA / "mlama1.1" / code / f"{relation}.jsonl"
    if not path.exists():
        return set()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(row["sub_uri"], row["obj_uri"]) for row in rows}


def klar_like(root: Path) -> dict[str, Any]:
    for code, relation in product(LANGUAGES, ("P36", "P30")):
        found = [row for row in triples(code) if row["relation"] == relation]
        samples = [
            {"index": n, "subject": row["subject_label"], "object": row["object_label"]}
            for n, row in enumerate(found)
        ]
        texts = [f"{relation} of <subject>? The answer is: <mask>"]
        path = root / "klar" / code / f"{relation}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_json(path, {"prompt_templates": texts, "samples": samples})
    return {"source": "klar", "path": str(root / "klar")}


def bmlama_like(root: Path) -> dict[str, Any]:
    (root / "b").mkdir()
    for code in LANGUAGES:
        with (root / "b" / f"{code}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, dialect="excel-tab")
            writer.writerow(["Prompt", "Ans", "Candidate Ans", "Subject"])
            for row in triples(code):
                text = f"{row['relation']} of {row['subject_label']} is <mask>."
                writer.writerow([text, row["object_label"], "x, y", row["subject_label"]])
    return {"source": "bmlama", "path": str(root / "b")}


def counterfact_like(root: Path) -> dict[str, Any]:
    (root / "c").mkdir()
    for code in LANGUAGES:
        records = [
            {
                "case_id": n,
                "requested_rewrite": {
                    "prompt": row["relation"] + " of {} is",
                    "relation_id": row["relation"],
                    "target_true": {"str": row["object_label"], "id": row["object"]},
                    "target_new": {"str": row["object_label"], "id": row["object"]},
                    "subject": row["subject_label"],
                },
            }
            for n, row in enumerate(triples(code))
        ]
        (root / "c" / f"{code}.json").write_text(json.dumps(records), encoding="utf-8")
    return {"source": "counterfact", "path": str(root / "c")}


@pytest.mark.parametrize("like", [klar_like, bmlama_like, counterfact_like])
def test_sources_of_the_field_give_the_facts_of_mlama(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, like: Any
) -> None:
    found = made(tmp_path, monkeypatch, **like(tmp_path))
    assert set(found) == set(LANGUAGES)
    for code, table in found.items():
        expected = {(row["subject_label"], row["object_label"]) for row in triples(code)}
        assert set(zip(table["subject_label"], table["answer"], strict=True)) == expected
        assert table["relation"].nunique() == 2
        assert set(table["separator"]) == {" "}
    assert set(found["en"]["fact"]) == set(found["de"]["fact"])
    report = reports(tmp_path)["de"]["source"]
    assert any(name.startswith("de") for name in report["files"])
    assert report["reference"]


def test_new_objects_come_with_the_report_by_the_ids_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here what an edit shall say is what is true, so that its id is known; others give none."""
    tables = made(tmp_path, monkeypatch, **counterfact_like(tmp_path))
    for code, report in reports(tmp_path).items():
        first = tables[code].drop_duplicates("fact")
        expected = {fact: own[0] for fact, own in zip(first["fact"], first["objects"], strict=True)}
        assert report["new_objects"] == expected
    (tmp_path / "k").mkdir()
    made(tmp_path / "k", monkeypatch, **klar_like(tmp_path / "k"))
    assert not any("new_objects" in report for report in reports(tmp_path / "k").values())


def test_the_popularity_of_subjects_comes_with_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = sorted({row["subject"] for row in triples("en")})
    views = {name: float(n) for n, name in enumerate(subjects) if n}  # one is not known
    rows = [
        row | {"language": code, "popularity": views.get(row["subject"])}
        for code in LANGUAGES
        for row in triples(code)
    ]
    lines(tmp_path / "own.jsonl", rows)
    how: dict[str, Any] = {"source": "jsonl", "path": str(tmp_path / "own.jsonl")}
    tables = made(tmp_path, monkeypatch, **how, templates=str(own_templates(tmp_path / "texts")))
    for code, report in reports(tmp_path).items():
        facts = tables[code].drop_duplicates("fact")
        known = facts[facts["subject"].isin(list(views))]
        expected = dict(zip(known["fact"], known["subject"].map(views), strict=True))
        assert report["popularity"] == expected
        assert 0 < len(expected) < len(facts)


def test_names_as_ids_are_told_apart_from_too_few_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"relation": row["relation"], "language": code}
        | {"subject": row["subject_label"], "object": row["object_label"]}
        for code in LANGUAGES
        for row in triples(code)
    ]
    lines(tmp_path / "own.jsonl", rows)
    how: dict[str, Any] = {"source": "jsonl", "path": str(tmp_path / "own.jsonl")}
    with pytest.raises(ValueError, match=r"no fact is in 2 languages: .*though") as error:
        made(tmp_path, monkeypatch, **how, templates=str(own_templates(tmp_path / "texts")))
    assert "ids must be the same in every language, names go into subject_label" in str(error.value)
    pair = re.search(
        r"though '(\w+?)(?:ia)?' in '\w+' is like '(\w+?)(?:ia)?' in", str(error.value)
    )
    assert pair is not None
    assert pair[1] == pair[2]


def coded(root: Path, *names: str) -> dict[str, Any]:
    """Write mLAMA in en and de, and paraphrases under other codes for de."""
    patterns = root / "patterns"
    for name in ("en", *names):
        lines(patterns / name / "P36.jsonl", [{"pattern": f"[X] has as {name} capital [Y]"}])
    folder = mlama(root / "m")
    return {"source": "mlama", "path": str(folder), "templates": str(patterns)}


@pytest.mark.parametrize("names", [("de-at",), ("de_Latn", "de_CH"), ("DE",)])
def test_templates_under_a_near_code_are_named_or_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    how = coded(tmp_path, *names)
    message = rf"no templates in 'de', but in .*facts.template_codes={{de: {sorted(names)[0]}}}"
    with pytest.raises(ValueError, match=message):
        made(tmp_path, monkeypatch, **how)
    found = made(tmp_path, monkeypatch, **how, template_codes={"de": names[0]})
    asked = found["de"].query("relation == 'P36'")
    assert asked["prompt"].str.contains(f"has as {names[0]} capital").any()


def test_no_templates_of_a_near_code_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how = coded(tmp_path, "de-at")
    found = made(tmp_path, monkeypatch, **how, template_codes={"de": None})
    assert set(found["de"]["template"]) == {0}
    assert "notice: de: facts.templates" in capsys.readouterr().err


def test_a_code_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = coded(tmp_path, "fr")
    with pytest.raises(ValueError, match="no templates in 'pl', but in en, fr"):
        made(tmp_path, monkeypatch, **how, template_codes={"de": "pl"})


@pytest.mark.parametrize("there", ["de_DE", "de-Latn"])
def test_the_source_may_have_another_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    folder = mlama(tmp_path / "m")
    (folder / "de").rename(folder / there)
    how: dict[str, Any] = {"source": "mlama", "path": str(folder)}
    with pytest.raises(ValueError, match=f"name {there} for it in facts.source_codes"):
        made(tmp_path, monkeypatch, **how)
    found = made(tmp_path, monkeypatch, **how, source_codes={"de": there})
    assert set(found) == {"en", "de"}
    assert f"{there}/P36.jsonl" in reports(tmp_path)["de"]["source"]["files"]


def test_checked_templates_are_asked_first_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("[X] one [Y]", False), ("[X] two [Y]", True), ("[Y] three [X]", True)]
    for code in LANGUAGES:
        rows = [{"pattern": text, "checked-by-human": mark} for text, mark in texts]
        lines(tmp_path / "patterns" / code / "P36.jsonl", rows)
    how: dict[str, Any] = {"source": "mlama", "path": str(mlama(tmp_path / "m"))}
    found = made(tmp_path, monkeypatch, **how, templates=str(tmp_path / "patterns"), paraphrases=2)
    asked = found["en"].query("relation == 'P36' and subject == 'Q0'")["prompt"].tolist()
    assert asked == ["France two", "The capital of France is"]
    counts = reports(tmp_path)["en"]["relations"]["P36"]["templates"]
    assert (counts["n_used"], counts["n_checked"]) == (2, 1)  # the third has its object first


def test_a_relation_that_is_missing_in_a_language_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mlama(tmp_path / "m")
    for code in LANGUAGES:
        rows = [json.loads(x) for x in (folder / code / "P30.jsonl").read_text().splitlines()]
        few = rows if code == "en" else rows[:3]
        lines(folder / code / "P17.jsonl", few)
        with (folder / code / "templates.jsonl").open("a") as file:
            file.write(json.dumps({"relation": "P17", "template": "[X] is of [Y]"}) + "\n")
    how = {"source": "mlama", "path": str(folder), "min_languages": 1}
    made(tmp_path, monkeypatch, **how, relations=["P36", "P30", "P17"])
    said = capsys.readouterr().err
    assert "notice: de: relation P17 is missing: 3 facts are left, fewer than facts.min_per" in said
    assert reports(tmp_path)["de"]["notices"][0] in said
    assert "notices" not in reports(tmp_path)["en"]


@needs_data
def test_aligned_facts_of_the_real_mlama_are_the_intersection_of_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    languages = ("en", "fr", "de", "es", "ru", "zh")
    how: dict[str, Any] = {"source": "mlama", "path": str(DATA / "mlama1.1"), "stand_in": True}
    tables = made(tmp_path, monkeypatch, languages=languages, **how)
    relations = sorted(path.stem for path in (DATA / "mlama1.1" / "en").glob("P*.jsonl"))
    assert len(relations) == 41
    n_aligned = {r: len(set.intersection(*(pairs(c, r) for c in languages))) for r in relations}
    assert sum(n_aligned.values()) > 1000
    for code, report in reports(tmp_path).items():
        found = {r: row["n_aligned"] for r, row in report["relations"].items()}
        assert found == {r: n for r, n in n_aligned.items() if r in found}
        assert all(n_aligned[r] == 0 for r in set(relations) - set(found))
        for name, row in report["relations"].items():
            left = row["n_read"] - sum(row["dropped"].values())
            subjects = row["n_facts"] + row["n_without_template"] + row["n_too_few"]
            assert 0 <= subjects <= left <= n_aligned[name]
        assert report["source"]["licence"] == "CC-BY-NC 4.0"
        assert len(tables[code]) > 500
    aligned = [set(table["fact"]) for table in tables.values()]
    assert all(one == aligned[0] for one in aligned)


@needs_data
def test_mpararel_adds_paraphrases_to_the_real_mlama(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {
        "source": "mlama",
        "path": str(DATA / "mlama1.1"),
        "templates": str(DATA / "mpararel" / "patterns"),
        "relations": ["P36", "P37", "P103"],
    }
    tables = made(tmp_path, monkeypatch, languages=("en", "fr", "de"), **how)
    assert all(table["template"].max() >= 1 for table in tables.values())
    assert all(not p.endswith(" ") for table in tables.values() for p in table["prompt"])


@needs_data
def test_every_relation_of_the_real_lre_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {
        "source": "lre",
        "path": str(DATA / "lre"),
        "allow": ["copy", "same_label"],
    }
    table = made(tmp_path, monkeypatch, languages=("en",), **how)["en"]
    rows = reports(tmp_path)["en"]["relations"]
    files = {path.stem: path for path in (DATA / "lre").rglob("*.json")}
    assert len(files) == 47
    assert set(rows) == set(files)
    for name, path in files.items():
        samples = json.loads(path.read_text(encoding="utf-8"))["samples"]
        objects = [s["object"] if isinstance(s["object"], list) else [s["object"]] for s in samples]
        distinct = {
            (s["subject"].strip(), o.strip())
            for s, o in zip(samples, objects, strict=True)
            for o in o
        }
        assert rows[name]["n_aligned"] == len(distinct), name
    assert set(table["relation"]) > {"country_capital_city", "adj_antonym"}
