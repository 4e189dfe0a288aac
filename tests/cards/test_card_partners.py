"""Co-selection: counts by hand, chance by simulation, and a planted pair."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import planted_cards
from neuron_atlas.cards import partners
from neuron_atlas.cards.inputs import Inputs

WIDTH = 10  # neurons per layer


def sets(*facts: list[int]) -> dict[str, np.ndarray]:
    return {f"f{i}": np.array(own, dtype=np.int64) for i, own in enumerate(facts)}


def found(given: dict[str, dict[str, np.ndarray]], n: int = 5) -> dict[tuple[int, int], float]:
    table = partners.co_selected(given, n_neurons=WIDTH, n_partners=n)
    return {
        (a, b): c for a, b, c in zip(table["neuron"], table["partner"], table["count"], strict=True)
    }


def test_facts_in_common_are_counted_once_however_many_languages_select_both() -> None:
    one = sets([1, 11], [1, 11], [2, 12], [2, 13])
    assert found({"en": one, "fr": one}) == {(1, 11): 2, (11, 1): 2}


def test_a_neuron_is_of_a_fact_if_any_language_selects_it() -> None:
    given = {"en": sets([1], [1], [2]), "fr": sets([11], [11], [12])}
    assert found(given) == {(1, 11): 2, (11, 1): 2}


def test_what_is_expected_keeps_the_layers_and_how_often_each_is_selected() -> None:
    """Facts have 1, 1 and 2 neurons of layer 0; 1 is half of its selections, 11 two thirds."""
    given = {"en": sets([1, 11], [1, 11], [2, 3, 12])}
    table = partners.co_selected(given, n_neurons=WIDTH, n_partners=5)
    row = table[(table["neuron"] == 1) & (table["partner"] == 11)].iloc[0]
    share_of_1, share_of_11 = np.array([1, 1, 2]) / 2, np.array([1, 1, 1]) * 2 / 3
    expected = float(np.minimum(share_of_1, 1) @ share_of_11)
    assert row["expected"] == pytest.approx(expected)


def test_neurons_that_are_selected_independently_meet_as_often_as_expected() -> None:
    rng = np.random.default_rng(0)
    each = {
        f"f{i}": np.concatenate([rng.permutation(4)[:1], 10 + rng.permutation(4)[:1]])
        for i in range(4000)
    }
    neurons, selected = partners._selected({"en": each})
    chance = partners._chance(selected, neurons // WIDTH)
    count = selected[:, :4].T @ selected[:, 4:]
    expected = chance[:, :4].T @ chance[:, 4:]
    assert np.abs(count - expected).max() < 4 * np.sqrt(expected.max())


def test_the_best_partners_are_kept_and_a_planted_pair_is_one() -> None:
    rng = np.random.default_rng(1)
    facts = [
        [*(rng.permutation(6)[:2]), *(10 + rng.permutation(6)[:2]), *((7, 17) if i % 3 else ())]
        for i in range(60)
    ]
    table = partners.co_selected({"en": sets(*facts)}, n_neurons=WIDTH, n_partners=1)
    assert table.groupby("neuron").size().max() == 1
    own = table[table["neuron"] == 7].iloc[0]
    assert (own["partner"], own["count"]) == (17, 40)
    assert own["count"] > 1.4 * own["expected"]
    assert (table["count"] > table["expected"]).all()


def test_no_set_gives_no_partner() -> None:
    for given in ({}, {"en": {}}, {"en": sets([], [])}, {"en": sets([1], [2])}):
        table = partners.co_selected(given, n_neurons=WIDTH, n_partners=3)
        assert table.empty
        assert str(table["partner"].dtype) == "int64"


def test_stand_ins_are_partners_with_their_interaction(given: Inputs) -> None:
    stand_ins = pd.DataFrame(
        {
            "fact": ["alpha:s0", "alpha:s0", "alpha:s1", "alpha:s1"],
            "relation": "alpha",
            "kind": ["own", "own", "matched", "own"],
            "members": [[1, 2], [1, 2, 3], [4, 5], [4, 6]],
            "degenerate": [True, True, True, False],
            "surplus": 0.3,
        }
    )
    pairs = planted_cards.pairs([("alpha:s0", "alpha", 1, 2, 0.1, 0.2, 0.7)])
    first = given.languages[0]
    made = replace(
        given,
        degenerate={**given.degenerate, first: stand_ins},
        pairs={**given.pairs, first: pairs},
    )
    table = partners.degenerate(made).set_index(["neuron", "partner"])
    assert sorted(table.index) == [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)]
    assert table.loc[(1, 2), "count"] == table.loc[(2, 1), "count"] == 2
    assert table.loc[(2, 1), "interaction"] == 0.7
    assert table.loc[(1, 3), "count"] == 1
    assert table["interaction"].isna().sum() == 4
    assert (table["language"] == first).all()
