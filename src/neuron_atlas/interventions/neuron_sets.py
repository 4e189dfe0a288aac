"""Sets of neurons to change, found ones and their controls, to test where a fact is stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.interventions.settings import Selection
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.relation_sets import RelationSets

AMIG, RANDOM = "amig", "random"
METHODS = {
    AMIG: "attribution",
    "zero_ig": "zero_ig",
    "gradient_activation": "gradient_activation",
    "activation": "activation",
}  # name in results: name in the stored scores


@dataclass(frozen=True)
class NeuronSet:
    """The neurons that one way of choosing gives for one fact.

    Attributes:
        fact: Whose set it is.
        relation: The fact's relation.
        method: How it was chosen.
        neurons: Flat indices, best first.
        draw: Number of the random draw; -1 where nothing is drawn.
    """

    fact: str
    relation: str
    method: str
    neurons: Int[np.ndarray, "_"]
    draw: int = -1


def compared(
    scores: pd.DataFrame, source: RelationSets, how: Selection, *, seed: int
) -> list[NeuronSet]:
    """List each fact's sets by every method, all of one size, and their matched random sets.

    The size is that of the attribution's set, at least 1. If a method has stored fewer neurons with
    a positive score, all methods get that smaller number; if it has stored none, the fact is left
    out.

    Args:
        scores: One language's stored scores.
        source: What random sets must match.
        how: What decides the size, and how many random sets there are per fact.
        seed: The seed.
    """
    chosen = knowledge_sets.select(
        scores, method=METHODS[AMIG], tau=how.tau, share=how.share, k=how.max_neurons
    )
    ranked = {
        name: knowledge_sets.neurons_by_grade(scores, method=stored)
        for name, stored in METHODS.items()
    }
    relation = scores.drop_duplicates("fact").set_index("fact")["relation"]
    found = []
    for fact in sorted(chosen):
        lists = {name: ranked[name].get(fact, chosen[fact][:0]) for name in METHODS}
        if len(chosen[fact]):
            lists[AMIG] = chosen[fact]
        k = min(max(1, len(chosen[fact])), *map(len, lists.values()))
        own = [NeuronSet(fact, str(relation[fact]), name, n[:k]) for name, n in lists.items()]
        if k:
            random = matched(own[0], source, stage="selection", seed=seed, n_draws=how.n_draws)
            found += [*own, *random]
    return found


def matched(
    own: NeuronSet, source: RelationSets, *, stage: str, seed: int, n_draws: int
) -> list[NeuronSet]:
    """Draw a stage's random sets, which match a fact's set in layers and activation sizes."""
    names = (stage, "matched", own.fact)
    draws = source.matched(own.neurons, names=names, seed=seed, n_draws=n_draws)
    return [replace(own, method=RANDOM, neurons=d, draw=i) for i, d in enumerate(draws)]


def describe(sets: Sequence[NeuronSet]) -> pd.DataFrame:
    """Return the sets as a table, one row each, in their order."""
    columns = ["fact", "relation", "method", "draw", "k"]
    rows = [[s.fact, s.relation, s.method, s.draw, len(s.neurons)] for s in sets]
    return pd.DataFrame(rows, columns=columns)


def members(sets: Iterable[NeuronSet]) -> pd.DataFrame:
    """Return the members of each set: `fact`, `method`, `draw`, `rank`, `neuron`."""
    rows = [
        (s.fact, s.method, s.draw, rank, neuron)
        for s in sets
        for rank, neuron in enumerate(s.neurons.tolist())
    ]
    return pd.DataFrame(rows, columns=["fact", "method", "draw", "rank", "neuron"])
