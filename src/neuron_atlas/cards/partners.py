"""Neurons that stand in for one another, and neurons that are selected for the same facts."""

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from neuron_atlas.cards import tables
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.memberships import OWN, stand_ins
from neuron_atlas.neurons.knowledge_sets import SetsByFact

FEWEST = 2  # facts in common of neurons that are called co-selected


def degenerate(given: Inputs) -> pd.DataFrame:
    """Return `tables.PARTNERS` of the neurons that are in one degenerate set.

    One row per neuron, partner, fact and language: `count` is the number of such sets,
    `interaction` that of the two in log-odds, nats, above 0 where either is enough.
    """
    parts = []
    for code, sets in stand_ins(given):
        rows = [
            (fact, *pair)
            for fact, members in zip(sets["fact"], sets["members"], strict=True)
            for pair in permutations(map(int, members), 2)
        ]
        found = pd.DataFrame(rows, columns=["fact", "neuron", "partner"])
        counted = found.value_counts(sort=False).rename("count").reset_index()
        counted = counted.merge(_interactions(given.pairs[code]), how="left")
        parts.append(counted.assign(kind=tables.DEGENERATE, expected=np.nan, language=code))
    return tables.typed(parts, tables.PARTNERS)


def _interactions(pairs: pd.DataFrame) -> pd.DataFrame:
    own = pairs[pairs["kind"] == OWN]
    both = [
        own[["fact", one, other, "log_odds_interaction"]].set_axis(
            ["fact", "neuron", "partner", "interaction"], axis=1
        )
        for one, other in (("a", "b"), ("b", "a"))
    ]
    return pd.concat(both, ignore_index=True).astype({"neuron": "int64", "partner": "int64"})


def co_selected(sets: Mapping[str, SetsByFact], *, n_neurons: int, n_partners: int) -> pd.DataFrame:
    """Return `tables.PARTNERS` of the neurons that are selected for the same facts.

    A neuron is selected for a fact if it is in the fact's set in any language. `count` is the
    number of facts for which both are; `expected` what it would be by chance if each fact drew its
    neurons of a layer among those of the layer that are ever selected, each as likely as it is
    selected, and independently of the other neuron. Pairs of at least `FEWEST` facts, and more than
    expected, are kept.

    Args:
        sets: By language, each fact's neurons.
        n_neurons: Neurons per layer.
        n_partners: Partners kept per neuron: those with the largest excess; ties by index.
    """
    neurons, selected = _selected(sets)
    chance = _chance(selected, neurons // n_neurons)
    rows = list(_pairs(neurons, selected, chance, n_partners))
    table = pd.DataFrame(rows, columns=["neuron", "partner", "count", "expected"])
    named = table.assign(kind=tables.CO_SELECTED, interaction=np.nan, fact=None, language=None)
    return tables.typed([named], tables.PARTNERS)


def _selected(
    sets: Mapping[str, SetsByFact],
) -> tuple[Int64[np.ndarray, " neuron"], Float64[np.ndarray, "fact neuron"]]:
    """Return all selected neurons, rising, and 1 where one is selected for a fact."""
    facts = sorted({fact for own in sets.values() for fact in own})
    listed = [chosen for own in sets.values() for chosen in own.values()]
    neurons = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *listed]))
    selected = np.zeros((len(facts), len(neurons)))
    for own in sets.values():
        for fact, chosen in own.items():
            selected[facts.index(fact), np.searchsorted(neurons, chosen)] = 1
    return neurons, selected


def _chance(
    selected: Float64[np.ndarray, "fact neuron"], layer: Int64[np.ndarray, " neuron"]
) -> Float64[np.ndarray, "fact neuron"]:
    """Return the chance of each neuron for each fact: its share of the layer's selections."""
    found = np.zeros(selected.shape)
    for one in np.unique(layer):
        own = layer == one
        part = selected[:, own]
        found[:, own] = np.outer(part.sum(1), part.sum(0)) / part.sum()
    return np.minimum(found, 1)


def _pairs(
    neurons: Int64[np.ndarray, " neuron"],
    selected: Float64[np.ndarray, "fact neuron"],
    chance: Float64[np.ndarray, "fact neuron"],
    n_partners: int,
) -> Iterator[tuple[int, int, int, float]]:
    for place, neuron in enumerate(neurons.tolist()):
        count, expected = selected[:, place] @ selected, chance[:, place] @ chance
        more = (count >= FEWEST) & (count > expected)
        more[place] = False
        partners = np.flatnonzero(more)
        order = np.argsort(expected[partners] - count[partners], kind="stable")
        for one in partners[order[:n_partners]].tolist():
            yield neuron, int(neurons[one]), int(count[one]), float(expected[one])
