"""The tables of an export, and how they are written."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from neuron_atlas.cards import tables as stored
from neuron_atlas.cards.reading import Cards
from neuron_atlas.pipeline import store

Format = Literal["csv", "json", "hf"]
Tables = Mapping[str, pd.DataFrame]
SETS = "sets"  # what the cards call `memberships`
ROWS = {
    SETS: "a neuron and a set that it is in: of a relation, a fact, a language, or degenerate ones",
    "neurons": "a neuron that is in any set",
    "scores": "a neuron, a language and a relation: how well it tells the relation apart",
    "tokens": "a token that a neuron's value vector promotes or suppresses most",
    "scripts": "a neuron and a script: the share of what it promotes or suppresses",
    "prompts": "a prompt on which a neuron's value is among the largest or smallest",
    "effects": "a neuron, and where its effect alone was measured",
    "partners": "a neuron and another that stands in for it, or is selected with it",
    "writes": "a neuron and a relation: whether it promotes the relation's answers",
    "relations": "a relation and a language: the same of the whole set",
    "relation_tokens": "a token that a relation's set as a whole promotes or suppresses most",
}  # what a row is of


def tables_of(cards: Cards) -> dict[str, pd.DataFrame]:
    """Return the tables of an export: the cards' with each neuron's layer and index beside it."""
    own = {"memberships" if name == SETS else name: name for name in ROWS}
    left_out = set(stored.COLUMNS) - set(own)
    if left_out:
        raise AssertionError(f"no description of {sorted(left_out)}")
    width = int(cards.meta["n_neurons"])
    return {name: _placed(getattr(cards, of), width) for of, name in own.items()}


def _placed(table: pd.DataFrame, width: int) -> pd.DataFrame:
    found = table
    for column, prefix in (("neuron", ""), ("partner", "partner_")):
        if column in table and f"{prefix}layer" not in table:
            place = list(found).index(column) + 1
            found = found.copy()
            found.insert(place, f"{prefix}layer", table[column] // width)
            found.insert(place + 1, f"{prefix}index", table[column] % width)
    return found


def write(tables: Tables, kind: Format, folder: Path) -> Iterator[Path]:
    """Write each table to a folder; yield the files.

    Args:
        tables: By name.
        kind: `csv`, `json` (an array of objects per table), or `hf` (Parquet in `data/`).
        folder: Is there.
    """
    ending, writer = WRITERS[kind]
    place = folder / "data" if kind == "hf" else folder
    place.mkdir(exist_ok=True)
    for name, table in tables.items():
        file = place / f"{name}.{ending}"
        writer(file, table)
        yield file


def _csv(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False)


def _json(path: Path, table: pd.DataFrame) -> None:
    table.to_json(path, orient="records", force_ascii=False, double_precision=15, indent=1)


WRITERS: Mapping[Format, tuple[str, Callable[[Path, pd.DataFrame], None]]] = {
    "csv": ("csv", _csv),
    "json": ("json", _json),
    "hf": ("parquet", store.write_table),
}
