"""The built-in facts: true, the same in every language, not to be read off the prompt."""

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import scripts
from neuron_atlas.builtin_facts import builtin, cldr
from neuron_atlas.builtin_facts.choice import CYCLES, REFERENCE, keep_facts
from neuron_atlas.builtin_facts.world import RELATIONS
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.facts import fact_table
from neuron_atlas.facts.split_counts import count_splits
from neuron_atlas.facts.splits import SPLITS
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import read_yaml
from neuron_atlas.wording import templates

ROOT = Path(__file__).parents[2]


def limits_of(facts: int, candidates: int, majority: float) -> Limits:
    return Limits(max_per_relation=facts, max_candidates=candidates, max_majority_share=majority)


RECALL = {"shots": 0, "demonstrations": {"shots": 2, "blocks": 2}}
LIMITS = limits_of(48, 160, 0.25)
UNLIMITED = limits_of(10_000, 10_000, 1.0)
SPLIT: dict[str, Any] = {"development_share": 0.2, "seed": 0}


@pytest.fixture(scope="module")
def built() -> dict[str, list[fact_table.Fact]]:
    return {
        code: builtin.build(code, list(RELATIONS), limits=LIMITS, **SPLIT)[0] for code in REFERENCE
    }


def find(rows: list[fact_table.Fact], fact: str) -> fact_table.Fact:
    return next(row for row in rows if row.id == fact)


def test_paris_is_the_capital_of_france_in_each_language(
    built: dict[str, list[fact_table.Fact]],
) -> None:
    found = {code: find(rows, "capital:FR") for code, rows in built.items()}
    assert {code: (f.subject_label, f.object_labels) for code, f in found.items()} == {
        "en": ("France", ("Paris",)),
        "fr": ("France", ("Paris",)),
        "de": ("Frankreich", ("Paris",)),
        "es": ("Francia", ("París",)),
        "ru": ("Франция", ("Париж",)),
        "zh": ("法国", ("巴黎",)),
        "it": ("Francia", ("Parigi",)),
        "pt": ("França", ("Paris",)),
        "ja": ("フランス", ("パリ",)),
        "tr": ("Fransa", ("Paris",)),
    }


@pytest.mark.parametrize(
    ("fact", "answers"),
    [
        ("continent:RU", ("Europe", "Asia")),
        ("official_language:BR", ("Portuguese",)),
        ("official_language:CA", ("English", "French")),
        ("currency:GB", ("British Pound",)),
        ("neighbour:CA", ("United States",)),
        ("internet_domain:JP", ("jp",)),
        ("calling_code:DE", ("49",)),
        ("country_of_city:Asia/Tokyo", ("Japan",)),
        ("script_of_language:ru", ("Cyrillic",)),
        ("currency_code:JPY", ("JPY",)),
        ("unit_symbol:length-kilometer", ("km",)),
        ("day_after:sunday", ("Monday",)),
        ("day_before:monday", ("Sunday",)),
        ("month_after:december", ("January",)),
        ("month_before:january", ("December",)),
        ("number_after:19", ("20",)),
    ],
)
def test_known_answers(
    built: dict[str, list[fact_table.Fact]], fact: str, answers: tuple[str]
) -> None:
    assert find(built["en"], fact).object_labels == answers


def test_switzerland_has_several_official_languages() -> None:
    found = {
        t.subject: t.objects for t in keep_facts(RELATIONS["official_language"], UNLIMITED).triples
    }
    assert found["CH"][0] == "de"
    assert {"de", "fr", "it"} <= set(found["CH"])


def test_italian_months_are_italian_after_chinese_ones_were_read() -> None:
    """Babel shares resolved aliases between locales; see `cldr.INFLECTED_MONTHS`."""
    found = {code: cldr.names(code)["month"]["january"] for code in ("zh", "it", "ru", "ja")}
    assert found == {"zh": "一月", "it": "gennaio", "ru": "январь", "ja": "1月"}


def test_all_languages_have_the_same_facts(built: dict[str, list[fact_table.Fact]]) -> None:
    def ids(code: str) -> list[tuple[Any, ...]]:
        return [(f.id, f.objects, f.candidates, f.split, f.answer_split) for f in built[code]]

    assert all(ids(code) == ids("en") for code in REFERENCE)
    assert (
        len({f.subject_label for code in REFERENCE for f in built[code] if f.subject == "DE"}) > 5
    )


@pytest.mark.parametrize("language", REFERENCE)
def test_every_table_is_valid(built: dict[str, list[fact_table.Fact]], language: str) -> None:
    texts = templates.load(language)
    table = fact_table.build(built[language], texts.templates, separator=texts.separator)
    assert len(table) == 4 * len(built[language])


def test_no_answer_can_be_read_off_its_subject(built: dict[str, list[fact_table.Fact]]) -> None:
    for fact in (f for rows in built.values() for f in rows):
        kind = RELATIONS[fact.relation].object
        subject, answer = fact.subject_label.casefold(), fact.object_labels[0].casefold()
        if kind == "code":
            assert not subject.startswith(answer), fact.id
        elif kind not in CYCLES:
            assert answer not in subject, fact.id
            assert subject not in answer, fact.id


def test_trivial_copies_are_among_what_is_dropped() -> None:
    kept = {t.subject for t in keep_facts(RELATIONS["capital"], UNLIMITED).triples}
    assert "FR" in kept
    assert not kept & {"MX", "SG", "LU", "PA"}


def test_subjects_have_one_split_and_relations_balanced_halves(
    built: dict[str, list[fact_table.Fact]],
) -> None:
    split: dict[tuple[str, str], set[str]] = {}
    for fact in (f for rows in built.values() for f in rows):
        split.setdefault((RELATIONS[fact.relation].subject, fact.subject), set()).add(fact.split)
    assert all(len(found) == 1 for found in split.values())
    for relation in RELATIONS:
        count = Counter(f.split for f in built["en"] if f.relation == relation)
        assert set(count) == set(SPLITS)
        assert count["held_out"] >= 0.6 * count["identification"], relation
        assert count["identification"] >= 0.6 * count["held_out"], relation


def test_selecting_and_testing_facts_share_no_answer(
    built: dict[str, list[fact_table.Fact]],
) -> None:
    shared = 0
    for relation in RELATIONS:
        rows = [f for f in built["en"] if f.relation == relation]
        counts = count_splits(rows)
        assert counts["n_shared_answers"] == 0
        assert min(counts["n_select"], counts["n_test"]) >= 1, relation
        torn = [replace(f, answer_split=f.split) for f in rows if f.split != "development"]
        shared += count_splits(torn)["n_shared_answers"]  # of the subjects' halves alone
    assert shared > 0  # positive control


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=list(RELATIONS))
@pytest.mark.parametrize(
    "limits", [limits_of(4, 2, 0.5), limits_of(30, 12, 0.2), LIMITS, UNLIMITED]
)
def test_limits_hold(relation: Any, limits: Limits) -> None:
    kept = keep_facts(relation, limits)
    count = Counter(t.objects[0] for t in kept.triples)
    assert 0 < len(kept.triples) <= limits.max_per_relation
    assert len(kept.candidates) <= limits.max_candidates
    assert max(count.values()) <= max(1, limits.max_majority_share * len(kept.triples))
    assert {o for t in kept.triples for o in t.objects} == set(kept.candidates)


def test_what_was_dropped_adds_up() -> None:
    report = builtin.build("en", ["currency"], limits=LIMITS, **SPLIT)[1]["currency"]
    every = sum(bool(objects) for objects in RELATIONS["currency"].truths().values())
    assert report["n_facts"] + sum(report["dropped"].values()) == every
    assert sum(report["n_split"].values()) == report["n_facts"]
    assert 0 < report["majority_share"] <= 0.25


def test_dropping_a_relation_leaves_the_facts_of_the_others() -> None:
    few = builtin.build("en", ["capital"], limits=LIMITS, **SPLIT)[0]
    many = builtin.build("en", ["month_after", "capital"], limits=LIMITS, **SPLIT)[0]
    assert few == [f for f in many if f.relation == "capital"]


def test_a_language_beyond_the_reference_changes_no_other_language(
    built: dict[str, list[fact_table.Fact]],
) -> None:
    korean = builtin.build("ko", ["capital"], limits=LIMITS, **SPLIT)[0]
    assert find(korean, "capital:FR").object_labels == ("파리",)
    again = builtin.build("en", list(RELATIONS), limits=LIMITS, **SPLIT)[0]
    assert again == built["en"]
    assert [f.id for f in korean] == [f.id for f in again if f.relation == "capital"]


@pytest.mark.parametrize("relations", [["capitol"], [], ["capital", "capital"]])
def test_a_wrong_list_of_relations_is_told_the_known_ones(relations: list[str]) -> None:
    with pytest.raises(ValueError, match=r"different names out of \['calling_code'"):
        builtin.build("en", relations, limits=LIMITS, **SPLIT)


def test_a_language_unknown_to_cldr_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a CLDR locale such as 'fr' or 'zh', got 'xx'"):
        builtin.build("xx", ["capital"], limits=LIMITS, **SPLIT)


def run(folder: Path, language: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run the stage as DVC does, in a folder of its own."""
    section = read_yaml(ROOT / "params.yaml")["facts"] | {
        "relations": ["capital", "day_after"],
        "max_per_relation": 6,
        "max_candidates": 20,
        "max_majority_share": 0.5,
        "templates": str(ROOT / "src" / "neuron_atlas" / "templates"),
        "development_share": SPLIT["development_share"],
    }
    content = {"languages": {language: {}}, "seed": 0, "recall": RECALL}
    content |= {"facts": section | changes}
    YAML(typ="safe").dump(content, folder / "params.yaml")
    return scripts.run(folder, "facts", "no-model", "facts", "questions", "report")


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert run(tmp_path / name, "tr").returncode == 0
    for out in ("facts/tr.parquet", "report/tr.json"):
        assert (tmp_path / "a" / out).read_bytes() == (tmp_path / "b" / out).read_bytes()
    table = fact_table.read_facts(tmp_path / "a" / "facts" / "tr.parquet")
    assert isinstance(table, pd.DataFrame)
    assert set(table["relation"]) == {"capital", "day_after"}
    solved = fact_table.solved(table["prompt"], table["separator"], table["answer"])
    report = store.read_json(tmp_path / "a" / "report" / "tr.json")
    assert report["relations"]["capital"]["n_facts"] == 6
    assert report["relations"]["capital"]["example"] in set(solved)
    assert report["source"]["licence"].startswith("Unicode License")


@pytest.mark.parametrize(
    ("language", "changes", "message"),
    [
        ("xx", {}, "language must be one of"),
        ("en", {"relations": ["capitol"]}, "unknown: ['capitol']"),
        ("en", {"max_per_relation": 3}, "facts.max_per_relation: Input should be"),
        ("en", {"source": "wikidata"}, "facts.source: Input should be 'builtin'"),
    ],
)
def test_a_mistake_ends_in_one_line(
    tmp_path: Path, language: str, changes: dict[str, Any], message: str
) -> None:
    done = run(tmp_path, language, **changes)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.glob("*/"))  # nothing is left of what was begun
