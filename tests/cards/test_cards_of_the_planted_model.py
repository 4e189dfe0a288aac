"""The whole stage on the planted model: what was planted is on the cards."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planted
import planted_cards
from neuron_atlas.cards import build, reading, tables
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.reading import Cards
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import work_folder
from planted_cards import HOW, LANGUAGES

WRITER = "first:alpha"  # which writes its relation's answers, too
ANSWERS = {f"answer:alpha.{i}": 0.5 for i in range(planted.N_ANSWERS)}


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return planted.model({WRITER: ANSWERS})


@pytest.fixture(scope="module")
def given(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return planted_cards.inputs(lm, tmp_path_factory.mktemp("cards"))


def written(lm: LanguageModel, given: Inputs, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where finished parts are kept
        build.Work(lm, given, HOW, "cards-0").write(folder / "cards")
        assert not list(folder.glob(f"{work_folder.FOLDER}/*"))
    return folder / "cards"


@pytest.fixture(scope="module")
def folder(lm: LanguageModel, given: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(lm, given, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def cards(folder: Path) -> Cards:
    return reading.read_cards(folder)


def flat(name: str) -> int:
    return planted.NEURONS[name].layer * planted.N_NEURONS + planted.NEURONS[name].index


def test_a_neuron_that_writes_what_it_detects_is_found_and_others_are_not(cards: Cards) -> None:
    own = cards.writes[cards.writes["relation"] == "alpha"].set_index(["neuron", "language"])
    for source in (*LANGUAGES, "pooled"):
        writer = own.loc[(flat(WRITER), source)]
        assert writer["auc"] == 1
        assert writer["p_value"] < 0.05
        assert own.loc[(flat("second:alpha"), source), "auc"] == 0.5  # it writes no token
    assert set(cards.writes["relation"]) == set(planted.RELATIONS)


def test_the_writer_promotes_its_answers_and_the_set_does_too(cards: Cards) -> None:
    words = {i: word for word, i in planted.vocabulary().items()}
    table = cards.tokens[cards.tokens["neuron"] == flat(WRITER)]
    promoted = table[(table["direction"] == "promoted") & (table["script"] == "all")]
    assert all("alpha_a" in words[i] for i in promoted["token_id"])
    assert [words[i] for i in promoted["token_id"]] == promoted["token"].str.lstrip().tolist()
    whole = cards.relation_tokens
    own = whole[(whole["relation"] == "alpha") & (whole["direction"] == "promoted")]
    assert all("alpha_a" in word for word in own["token"])


def test_the_card_of_a_planted_unit_says_what_was_planted(cards: Cards) -> None:
    found = reading.card(cards, flat("first:beta"))
    assert found["best_relation"] == "beta"
    assert found["n_relation"] == len(LANGUAGES) + 1
    assert {row["relation"] for row in found["prompts"] if row["end"] == "strongest"} == {"beta"}
    precision = {r["relation"]: r["average_precision"] for r in found["scores"]}
    assert precision["beta"] == 1
    effect = [row for row in found["effects"] if row["measured_by"] == "cards"]
    clean, without = (planted.log_probability(s) for s in (2.5, 1.5))
    assert effect[0]["effect"] == pytest.approx(without - clean, abs=planted.NATS)


def test_fact_units_are_partners_of_what_is_selected_with_them(cards: Cards) -> None:
    own = cards.partners[cards.partners["neuron"] == flat("first:alpha")]
    assert flat("second:alpha") in own["partner"].tolist()


def test_two_runs_write_the_same_bytes(
    lm: LanguageModel, given: Inputs, folder: Path, tmp_path: Path
) -> None:
    again = written(lm, given, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*(f"{name}.parquet" for name in tables.COLUMNS), tables.META])
    for name in names:
        one, other = (hashlib.sha256((f / name).read_bytes()).digest() for f in (folder, again))
        assert one == other, name


def test_a_killed_run_goes_on_with_what_it_finished(
    lm: LanguageModel,
    given: Inputs,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    work = build.Work(lm, given, HOW, "cards-0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build.Work, "_effects", _killed)
        with pytest.raises(KeyboardInterrupt):
            work.write(tmp_path / "cards")
    assert not (tmp_path / "cards").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build.tokens.TokenTables, "_of_part", _killed)  # not needed any more
        build.Work(lm, given, HOW, "cards-0").write(tmp_path / "cards")
    for name in tables.COLUMNS:
        file = f"{name}.parquet"
        assert (tmp_path / "cards" / file).read_bytes() == (folder / file).read_bytes()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_any_set_every_table_is_empty(
    lm: LanguageModel, given: Inputs, tmp_path: Path
) -> None:
    none = np.empty(0, dtype=np.int64)
    size = given.relation_sets["pooled"].size
    empty = replace(
        given.of_relations,
        relation_table=given.relation_table[:0],
        relation_sets={name: RelationSets({}, size, none, name) for name in given.sources},
    )
    found = reading.read_cards(written(lm, empty, tmp_path))
    for name in tables.COLUMNS:
        assert getattr(found, name).empty, name
    assert found.meta["counts"] == dict.fromkeys(tables.KINDS, 0)
    with pytest.raises(ValueError, match="is in no set"):
        reading.card(found, 0)
