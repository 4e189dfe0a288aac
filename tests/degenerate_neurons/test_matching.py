"""Controls: strong for facts of other relations, of the same layer, of the nearest drop."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.degenerate_neurons.matching import control_pool, matched_controls

WIDTH = 100


def graded() -> pd.DataFrame:
    """Three facts of two relations; neurons 0 to 9 of layer 0, 100 to 109 of layer 1."""
    neurons = {
        "r:1": [0, 1, 100, 5, 6, 105],
        "r:2": [2, 3, 101, 0, 7, 106],
        "q:1": [0, 5, 105, 106, 8, 9],
    }
    rows = [
        (fact, fact[0], n, 1.0 - 0.1 * rank, rank)
        for fact, listed in neurons.items()
        for rank, n in enumerate(listed)
    ]
    return pd.DataFrame(rows, columns=["fact", "relation", "neuron", "score", "rank"])


def pool(fact: str, *, size: int, tried: int) -> list[int]:
    table = graded()
    own = table[(table["fact"] == fact) & (table["rank"] < 3)]["neuron"].to_numpy(np.int64)
    found = control_pool(table, fact, own, size=size, tried=tried, width=WIDTH)
    assert not set(found.tolist()) & set(own.tolist())
    return found.tolist()


def test_the_pool_is_strong_for_facts_of_other_relations() -> None:
    assert pool("r:1", size=6, tried=9) == [5, 8, 9, 105, 106]  # 0 is the fact's own
    assert pool("r:1", size=3, tried=9) == [5, 105]
    assert pool("q:1", size=3, tried=9) == [1, 2, 3, 100, 101]


def test_each_neuron_takes_those_of_the_nearest_grade() -> None:
    assert pool("r:1", size=6, tried=1) == [5, 8, 105]  # 5 is graded 0.7 here, 8 and 9 are not
    assert pool("r:2", size=6, tried=1) == [0, 5, 106]


def test_without_another_relation_other_facts_serve() -> None:
    table = graded().assign(relation="r")
    own = np.array([0, 1, 100])
    found = control_pool(table, "r:1", own, size=3, tried=9, width=WIDTH)
    assert found.tolist() == [2, 3, 5, 101, 105]
    alone = control_pool(table[table["fact"] == "r:1"], "r:1", own, size=3, tried=9, width=WIDTH)
    assert not len(alone)


def test_controls_are_of_the_same_layer_and_the_nearest_drop() -> None:
    drops = {0: 0.1, 1: 0.2, 100: 0.05, 5: 0.21, 6: 0.12, 7: 0.0, 105: 0.15, 106: 0.06}
    found = matched_controls(
        np.array([0, 1, 100]), np.array([5, 6, 7, 105, 106]), drops, width=WIDTH
    )
    assert found == {0: 6, 1: 5, 100: 106}


def test_a_neuron_whose_layer_has_no_control_left_has_none() -> None:
    drops = {0: 0.1, 1: 0.2, 100: 0.3, 5: 0.19}
    found = matched_controls(np.array([0, 1, 100]), np.array([5]), drops, width=WIDTH)
    assert found == {1: 5}
    none = np.empty(0, dtype=np.int64)
    assert matched_controls(np.array([0]), none, drops, width=WIDTH) == {}
    assert matched_controls(none, np.array([5]), drops, width=WIDTH) == {}


@given(st.integers(0, 1000))
def test_no_other_choice_of_controls_is_nearer_in_one_layer(seed: int) -> None:
    """In one dimension the nearest choice keeps the order of the drops."""
    rng = np.random.default_rng(seed)
    own, others = np.arange(5), np.arange(10, 15)
    drops = dict(enumerate(rng.random(20).tolist()))
    found = matched_controls(own, others, drops, width=WIDTH)
    assert sorted(found.values()) == others.tolist()
    total = sum(abs(drops[a] - drops[b]) for a, b in found.items())
    least = np.abs(np.sort([drops[n] for n in own]) - np.sort([drops[n] for n in others])).sum()
    assert total <= least + 1e-12
