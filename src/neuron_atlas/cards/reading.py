"""Read the cards that the stage left, and put together all that is known of one neuron."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.cards import tables
from neuron_atlas.pipeline import store

ADDRESS = re.compile(r"\s*(\d{1,9})\s*[:.]\s*(\d{1,9})\s*", re.ASCII)


@dataclass(frozen=True)
class Cards:
    """What the stage `cards` left: its `meta.json`, and each file's table under the file's name.

    `tables` lists the columns. A missing number or text is NaN, a missing rank `pandas.NA`.
    """

    meta: Mapping[str, Any]
    neurons: pd.DataFrame
    memberships: pd.DataFrame
    scores: pd.DataFrame
    tokens: pd.DataFrame
    scripts: pd.DataFrame
    prompts: pd.DataFrame
    effects: pd.DataFrame
    partners: pd.DataFrame
    writes: pd.DataFrame
    relations: pd.DataFrame
    relation_tokens: pd.DataFrame


def read_cards(folder: Path) -> Cards:
    """Read a folder that the stage wrote, such as `data/cards`.

    Raises:
        ValueError: a file is missing or lacks a column; the message names it.
    """
    meta = store.read_json(folder / tables.META)
    read = {
        name: tables.typed([store.read_table(folder / f"{name}.parquet", list(columns))], columns)
        for name, columns in tables.COLUMNS.items()
    }
    return Cards(meta, **read)


def parse_address(text: str, meta: Mapping[str, Any]) -> int:
    """Return the flat index of a neuron that is given as `layer:index` or `layer.index`.

    Args:
        text: Such as `11:1532`.
        meta: Of the cards: `n_layers` and `n_neurons`, which bound the two numbers.

    Raises:
        ValueError: the text is no address, or the model has no such neuron.
    """
    n_layers, n_neurons = int(meta["n_layers"]), int(meta["n_neurons"])
    form = "expected a neuron as layer:index, such as 3:141"
    if (found := ADDRESS.fullmatch(text)) is None:
        raise ValueError(f"{form}, got {text!r}")
    layer, index = (int(part) for part in found.groups())
    if layer >= n_layers or index >= n_neurons:
        raise ValueError(
            f"{form}, with a layer in [0, {n_layers}) and an index in [0, {n_neurons}), "
            f"got {text!r}"
        )
    return layer * n_neurons + index


def address(neuron: int, meta: Mapping[str, Any]) -> str:
    """Return a neuron's address for people, `layer:index`; undoes `parse_address`."""
    layer, index = divmod(int(neuron), int(meta["n_neurons"]))
    return f"{layer}:{index}"


def card(cards: Cards, neuron: int) -> dict[str, Any]:
    """Return everything about one neuron, ready for JSON: what is missing is None.

    Returns:
        Its row of `neurons` with its `address`, and under the name of each other table that has a
        column `neuron` the list of its rows there, in the file's order, without that column.
        Partners have an `address`, too.

    Raises:
        ValueError: the neuron is in no set, so that it has no card.
    """
    meta = cards.meta
    own = cards.neurons[cards.neurons["neuron"] == neuron]
    if own.empty:
        raise ValueError(
            f"neuron {address(neuron, meta)} is in no set, so it has no card; the file "
            "neurons.parquet of the stage cards lists the neurons that have one"
        )
    found = {"address": address(neuron, meta), **_rows(own)[0]}
    for name in tables.OF_A_NEURON:
        table: pd.DataFrame = getattr(cards, name)
        found[name] = _rows(table[table["neuron"] == neuron].drop(columns="neuron"))
    for row in found["partners"]:
        row["address"] = address(row["partner"], meta)
    return found


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [{str(k): v for k, v in row.items()} for row in plain.to_dict("records")]
