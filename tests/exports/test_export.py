"""An export is whole, in three formats; a hub's tools read it; nothing is overwritten."""

import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from huggingface_hub import DatasetCard

import planted
import planted_run
from neuron_atlas.cards.reading import Cards, read_cards
from neuron_atlas.exports import dataset_card, folder, tables
from neuron_atlas.exports.dataset_card import About
from neuron_atlas.exports.tables import Format
from planted_run import HOSTILE
from results import PROVENANCE

each_format = pytest.mark.parametrize("kind", tables.WRITERS)
ABOUT = About(
    model=PROVENANCE,
    facts=planted_run.SOURCE,
    languages=planted_run.LANGUAGES,
    verdicts={"relation_neurons_exist": {"verdict": HOSTILE, "effect": -0.5, "low": -1, "high": 0}},
)


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    place = tmp_path_factory.mktemp("cards")
    planted_run.write_cards(place)
    return read_cards(place)


def read(out: Path, kind: Format, name: str) -> pd.DataFrame:
    if kind == "csv":
        return pd.read_csv(out / f"{name}.csv", keep_default_na=False, na_values=[""])
    if kind == "json":
        return pd.DataFrame(json.loads((out / f"{name}.json").read_text(encoding="utf-8")))
    return pd.read_parquet(out / "data" / f"{name}.parquet")


@each_format
def test_every_table_comes_back(cards: Cards, tmp_path: Path, kind: Format) -> None:
    out = tmp_path / "out"
    rows = folder.export(cards, ABOUT, kind, out)
    assert set(rows) == set(tables.ROWS)
    for name, n in rows.items():
        assert len(read(out, kind, name)) == n > 0
    sets = read(out, kind, "sets")
    place = planted.NEURONS["first:alpha"]
    assert (sets["layer"][0], sets["index"][0]) == (place.layer, place.index)
    assert HOSTILE in set(sets["label"])
    assert set(read(out, kind, "tokens")["token"]) >= {" Paris", HOSTILE}
    effects = read(out, kind, "effects")
    assert effects["effect"][0] == -0.5
    assert pd.isna(effects["fact"][0])


@each_format
def test_what_is_there_stays(cards: Cards, tmp_path: Path, kind: Format) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        folder.export(cards, ABOUT, kind, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_export_that_fails_leaves_nothing(
    cards: Cards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(dataset_card.DatasetCardData, "to_yaml", full)
    with pytest.raises(OSError, match="the disk is full"):
        folder.export(cards, ABOUT, "hf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_hub_s_tools_read_card_and_tables(
    cards: Cards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    folder.export(cards, ABOUT, "hf", out)
    card = DatasetCard.load(out / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "other"
    assert data["license_link"] == PROVENANCE["licence"]["url"]
    assert data["language"] == list(planted_run.LANGUAGES)
    assert {one["config_name"] for one in data["configs"]} == set(tables.ROWS)
    assert all((out / one["data_files"]).is_file() for one in data["configs"])
    for said in (PROVENANCE["licence"]["name"], planted_run.SOURCE["licence"], "Gemma is provided"):
        assert said in card.text
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = datasets.load_dataset(str(out), "sets", cache_dir=str(tmp_path / "cache"))["train"]
    assert len(found) == len(cards.memberships)
    default = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert default.column_names == found.column_names


def test_text_from_data_is_no_markup(cards: Cards) -> None:
    text = dataset_card.readme(ABOUT, tables.tables_of(cards), "csv")
    assert HOSTILE not in text
    assert "\\[red\\]" in text
    assert not text.startswith("---")
    link = {"name": "[x](https://evil) <b>", "url": "javascript:alert(1)"}
    about = About({**PROVENANCE, "licence": link}, ABOUT.facts, ["en"], {})
    shown = dataset_card.readme(about, tables.tables_of(cards), "hf")
    assert "javascript" not in shown
    assert "[x](" not in shown
    assert "<b>" not in shown


def test_every_table_of_the_cards_is_exported(cards: Cards) -> None:
    tables_now = tables.tables_of(cards)
    assert len(tables_now) == len(tables.stored.COLUMNS)
    assert list(tables_now["partners"])[:6] == [
        *("neuron", "layer", "index", "partner", "partner_layer", "partner_index"),
    ]
