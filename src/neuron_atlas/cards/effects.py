"""What earlier stages found when they switched single neurons off, exactly."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Int64

from neuron_atlas.cards import tables
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.memberships import OWN

REFERENCE = "mean"  # of `attribution_methods`: the neuron is set to its mean elsewhere
UNITS = {
    "log_probability": "nats",
    "candidates": "nats, among the candidates",
    "probability": "probability",
}


def collected(given: Inputs, carded: Int64[np.ndarray, " carded"]) -> pd.DataFrame:
    """Return `tables.EFFECTS` of the neurons that have a card, one row per fact and language.

    `degenerate_neurons` sets a neuron to 0 and counts the answer's log-probability, nats.
    `attribution_methods` sets it to its mean over prompts of other relations and counts what is
    attributed: `unit` says what that is. Both store drops; an effect is a drop with its sign
    changed.
    """
    parts = [*_degenerate(given), *_methods(given)]
    found = [part[part["neuron"].isin(carded)] for part in parts]
    alone = [
        part.assign(low=np.nan, high=np.nan, n_prompts=1, effect=-part["drop"].astype("float64"))
        for part in found
    ]
    table = tables.typed(alone, tables.EFFECTS)
    order = ["neuron", "measured_by", "language", "relation", "fact"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def _degenerate(given: Inputs) -> Iterator[pd.DataFrame]:
    for code, pairs in given.pairs.items():
        own = pairs[pairs["kind"] == OWN]
        sides = [
            own[["fact", "relation", one, f"drop_{one}"]].set_axis(
                ["fact", "relation", "neuron", "drop"], axis=1
            )
            for one in ("a", "b")
        ]
        alone = pd.concat(sides, ignore_index=True).drop_duplicates(["fact", "neuron"])
        yield alone.assign(language=code, measured_by="degenerate_neurons", unit="nats")


def _methods(given: Inputs) -> Iterator[pd.DataFrame]:
    for code, table in given.ablated.items():
        rows = table[(table["quantity"] == "drop") & (table["name"] == REFERENCE)]
        alone = rows[["fact", "relation", "item", "value"]].set_axis(
            ["fact", "relation", "neuron", "drop"], axis=1
        )
        yield alone.assign(
            language=code, measured_by="attribution_methods", unit=UNITS[given.target]
        )
