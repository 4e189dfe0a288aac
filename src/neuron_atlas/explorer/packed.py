"""The cards' tables as a page carries them: blocks, each of which is unpacked when it is needed.

One holds what the table of neurons shows, filters and sorts by; one, for the search, all promoted
tokens; and the details of every `AT_ONCE` neurons, for their cards, are a block of their own.
Tokens and other texts are numbers in these, their places in two lists of texts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from neuron_atlas.cards import tables
from neuron_atlas.cards.reading import Cards
from neuron_atlas.explorer.columns import Ragged, coded, different, rounded, steps, whole

AT_ONCE = 256  # neurons whose details are one block
SHOWN = 6  # promoted tokens of a neuron in the table
BY_CARDS = "cards"  # what `effects.measured_by` calls the stage that measures neurons alone
PLACE = ("kind", "relation", "language")  # what a neuron's memberships are filtered by
TOKEN = "token"  # the column whose texts are a list of their own
LEFT_OUT = {"token_id"}
DETAILS: Mapping[str, Sequence[str]] = {
    name: [column for column in tables.COLUMNS[name] if column not in LEFT_OUT]
    for name in tables.OF_A_NEURON
}  # columns of the tables with rows per neuron


@dataclass(frozen=True)
class Payload:
    """What the page's explorer reads: JSON, not compressed.

    Attributes:
        neurons: The list of neurons.
        tokens: The different tokens.
        promoted: Each neuron's promoted tokens, of all scripts and of each, once.
        texts: The different texts of every other column of the details, by its name.
        details: Block i holds what else is known of neurons [i * `AT_ONCE`, (i + 1) * `AT_ONCE`)
            of the list.
    """

    neurons: bytes
    tokens: bytes
    promoted: bytes
    texts: bytes
    details: tuple[bytes, ...]


def payload(cards: Cards) -> Payload:
    """Return the cards' tables for the page; the same tables always give the same bytes.

    Numbers are rounded to `columns.DIGITS` significant digits.
    """
    neurons = cards.neurons.sort_values("neuron", ignore_index=True)
    flat = neurons["neuron"].to_numpy(dtype=np.int64)
    texts = _texts(cards)
    among = {name: pd.Index(values, dtype=object) for name, values in texts.items()}
    promoted = _promoted(cards.tokens)
    return Payload(
        neurons=_json(_list(cards, neurons, promoted, among)),
        tokens=_json(texts.pop(TOKEN)),
        promoted=_json(Ragged(promoted, among).packed(flat)),
        texts=_json(texts),
        details=_details(cards, flat, among),
    )


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _texts(cards: Cards) -> dict[str, list[str]]:
    """Return the different texts of each text column of the details."""
    found: dict[str, list[pd.Series]] = {}
    for table, columns in DETAILS.items():
        for name in columns:
            if tables.COLUMNS[table][name] == tables.TEXT:
                found.setdefault(name, []).append(getattr(cards, table)[name])
    return {name: different(columns) for name, columns in sorted(found.items())}


def _list(
    cards: Cards, neurons: pd.DataFrame, promoted: pd.DataFrame, among: Mapping[str, pd.Index]
) -> dict[str, Any]:
    flat = neurons["neuron"].to_numpy(dtype=np.int64)
    facts = cards.memberships[cards.memberships["kind"] == "fact"].drop_duplicates("name")
    return {
        "n_neurons": int(cards.meta["n_neurons"]),
        "n_layers": int(cards.meta["n_layers"]),
        "at_once": AT_ONCE,
        "facts": dict(zip(facts["name"].astype(str), facts["label"].astype(str), strict=True)),
        "neuron": steps(flat),
        "massive": whole(neurons["massive"]),
        "size": rounded(neurons["size"]),
        "sets": {kind: whole(neurons[f"n_{kind}"]) for kind in tables.KINDS},
        "best": {name: coded(neurons[f"best_{name}"]) for name in ("relation", "language")},
        "places": _places(cards.memberships, flat),
        "shown": Ragged(promoted.groupby("neuron").head(SHOWN), among).packed(flat),
        "effect": _of_best(_alone(cards.effects), neurons, ("effect", "low", "high")),
        "writes": _of_best(cards.writes, neurons, ("auc", "random", "p_value")),
    }


def _details(
    cards: Cards, flat: Int64[np.ndarray, " k"], among: Mapping[str, pd.Index]
) -> tuple[bytes, ...]:
    found = {
        name: Ragged(getattr(cards, name)[columns], among) for name, columns in DETAILS.items()
    }
    blocks = (flat[start : start + AT_ONCE] for start in range(0, len(flat), AT_ONCE))
    return tuple(_json({n: table.packed(block) for n, table in found.items()}) for block in blocks)


def _places(memberships: pd.DataFrame, flat: Int64[np.ndarray, " k"]) -> dict[str, Any]:
    """Return the different places, and which each neuron's sets have, with its best rank there."""
    texts = memberships[list(PLACE)].astype(object).where(memberships[list(PLACE)].notna(), None)
    keys = pd.Series(list(texts.itertuples(index=False, name=None)), dtype=object)
    known = sorted(set(keys), key=lambda key: [text or "" for text in key])
    codes = keys.map({key: i for i, key in enumerate(known)}).astype(np.int64)
    sets = memberships[["neuron", "rank"]].reset_index(drop=True).assign(place=codes)
    best = sets.sort_values("rank", kind="stable").drop_duplicates(["neuron", "place"])
    found = Ragged(best.sort_values("place", kind="stable"), {}).packed(flat)
    return {"different": [list(key) for key in known], **found}


def _promoted(tokens: pd.DataFrame) -> pd.DataFrame:
    """Return each neuron's promoted tokens once: of all scripts by rank, then of each script."""
    promoted = tokens[tokens["direction"] == tables.PROMOTED]
    own = promoted["script"] != tables.ALL_SCRIPTS
    ordered = promoted.assign(own=own).sort_values(["own", "rank"], kind="stable")
    return ordered.drop_duplicates(["neuron", TOKEN])[["neuron", TOKEN]]


def _alone(effects: pd.DataFrame) -> pd.DataFrame:
    return effects[effects["measured_by"] == BY_CARDS]


def _of_best(
    table: pd.DataFrame, neurons: pd.DataFrame, numbers: tuple[str, ...]
) -> dict[str, Any]:
    """Return one row per neuron: the first of its best relation, else its first of any."""
    best = neurons[["neuron", "best_relation"]]
    found = table.dropna(subset=["relation"]).merge(best, on="neuron")
    other = found["relation"] != found["best_relation"]
    first = found.assign(other=other).sort_values("other", kind="stable").drop_duplicates("neuron")
    rows = best[["neuron"]].merge(first, on="neuron", how="left")
    return {"relation": coded(rows["relation"]), **{name: rounded(rows[name]) for name in numbers}}
