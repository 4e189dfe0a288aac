"""Cards are read as they were written; an address is checked before anything is looked up."""

import json
from pathlib import Path

import pandas as pd
import pytest

from neuron_atlas.cards import reading, tables
from neuron_atlas.pipeline import store

META = {"n_layers": 3, "n_neurons": 100}
ROWS = {
    "neurons": [(205, 2, 5, False, 0.5, 1, 0, 0, 1, 0, "capital", None)],
    "memberships": [
        (205, "relation", "capital", "capital", "capital", "en", 3, None),
        (205, "language_specific", "zh", "zh", None, "zh", None, 0.1),
        (7, "relation", "capital", "capital", "capital", "en", 4, None),
    ],
    "partners": [(205, 7, "co_selected", 3, 0.5, None, None, None)],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, columns in tables.COLUMNS.items():
        rows = pd.DataFrame(ROWS.get(name, []), columns=list(columns))
        store.write_table(tmp_path / f"{name}.parquet", tables.typed([rows], columns))
    store.write_json(tmp_path / tables.META, META)
    return tmp_path


def test_a_card_holds_its_neurons_rows_alone_and_is_json(folder: Path) -> None:
    found = reading.card(reading.read_cards(folder), 205)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["address"] == "2:5"
    assert (found["best_relation"], found["best_language"]) == ("capital", None)
    first, second = found["memberships"]
    assert first == {
        **{"kind": "relation", "name": "capital", "label": "capital", "relation": "capital"},
        **{"language": "en", "rank": 3, "score": None},
    }
    assert (second["relation"], second["rank"], second["score"]) == (None, None, 0.1)
    assert [row["address"] for row in found["partners"]] == ["0:7"]
    assert found["tokens"] == found["writes"] == []


def test_a_neuron_in_no_set_has_no_card(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"neuron 0:8 is in no set.*neurons\.parquet"):
        reading.card(reading.read_cards(folder), 8)


def test_types_survive_the_file(folder: Path) -> None:
    found = reading.read_cards(folder)
    for name, columns in tables.COLUMNS.items():
        assert {k: str(v) for k, v in getattr(found, name).dtypes.items()} == dict(columns), name


def test_a_missing_file_or_column_is_named(folder: Path) -> None:
    store.write_table(folder / "writes.parquet", pd.DataFrame({"neuron": [1]}))
    with pytest.raises(ValueError, match=r"writes\.parquet lacks the columns .*auc"):
        reading.read_cards(folder)
    (folder / "tokens.parquet").unlink()
    with pytest.raises(ValueError, match=r"tokens\.parquet does not exist; run `dvc repro`"):
        reading.read_cards(folder)


@pytest.mark.parametrize("text", ["2:5", "2.5", " 2 : 5 ", "02:005"])
def test_an_address_is_read_in_both_forms(text: str) -> None:
    neuron = reading.parse_address(text, META)
    assert neuron == 205
    assert reading.address(neuron, META) == "2:5"


@pytest.mark.parametrize(
    "text", ["", "2", "2:", ":5", "-1:5", "2:5:1", "capital", "2,5", "٢:٥", "2:5" + "0" * 20]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a neuron as layer:index, such as 3:141"):
        reading.parse_address(text, META)


@pytest.mark.parametrize("text", ["3:5", "2:100"])
def test_an_address_outside_the_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"layer in \[0, 3\) and an index in \[0, 100\)"):
        reading.parse_address(text, META)
