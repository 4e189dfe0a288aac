"""The effect of a neuron alone is the exact one, known by hand on the planted model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import planted
import planted_cards
from neuron_atlas.cards import ablations, effects, tables
from neuron_atlas.cards.ablations import SingleAblations, chosen_prompts, summed_up
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import POOLED
from planted_cards import LANGUAGES, OFF

# What is left of a relation's strength if one of its planted units is set to 0.
LEFT = {
    "first:alpha": ("alpha", 2.0),
    "inhibitor": ("alpha", 2.0),
    "first:beta": ("beta", 1.5),
    "shared": ("gamma", 2.0),
}


def off(given: Inputs, lm: LanguageModel) -> SingleAblations:
    zero = {code: {"": torch.zeros(lm.n_layers, lm.n_neurons)} for code in LANGUAGES}
    return SingleAblations(lm, "hidden", given.relation_sets[POOLED].sets, zero, OFF, 0.0)


@pytest.fixture(scope="module")
def measured(
    given: Inputs, planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    asked = chosen_prompts(given.recalled, n_facts=2, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        return off(given, planted_model).measure(asked, key="cards-1")


def test_effects_are_those_worked_out_by_hand(measured: pd.DataFrame) -> None:
    for name, (relation, left) in LEFT.items():
        place = planted.NEURONS[name]
        neuron = place.layer * planted.N_NEURONS + place.index
        rows = measured[(measured["neuron"] == neuron) & (measured["relation"] == relation)]
        clean = planted.log_probability(planted.STRENGTH[relation])
        expected = planted.log_probability(left) - clean
        assert len(rows) == 4  # two facts in each of two languages
        np.testing.assert_allclose(rows["effect"], expected, rtol=0, atol=planted.NATS)


def test_every_neuron_of_a_pooled_set_is_measured_on_its_own_relation(
    given: Inputs, measured: pd.DataFrame
) -> None:
    sets = given.relation_sets[POOLED].sets
    table = summed_up(measured)
    pairs = {(n, r) for n, r in zip(table["neuron"], table["relation"], strict=True)}
    assert pairs == {(n, r) for r, own in sets.items() for n in own.tolist()}
    assert (table["n_prompts"] == 4).all()
    assert table["language"].isna().all()
    assert table["low"].le(table["effect"]).all()
    assert {k: str(v) for k, v in table.dtypes.items()} == dict(tables.EFFECTS)


def test_prompts_are_right_held_out_and_of_other_facts_in_each_language(given: Inputs) -> None:
    asked = chosen_prompts(given.recalled, n_facts=2, seed=0)
    assert roles.tests(asked).all()
    assert asked["correct"].all()
    assert asked.groupby(["relation", "language"]).size().max() == 2
    assert not asked["fact"].duplicated().any()  # there are facts enough
    again = chosen_prompts(given.recalled, n_facts=2, seed=0)
    assert asked["fact"].tolist() == again["fact"].tolist()
    other = chosen_prompts(given.recalled, n_facts=2, seed=1)
    assert asked["fact"].tolist() != other["fact"].tolist()
    assert chosen_prompts(given.recalled, n_facts=0, seed=0).empty


def test_a_fact_comes_again_where_there_is_no_other(given: Inputs) -> None:
    fact = chosen_prompts(given.recalled, n_facts=1, seed=0)["fact"].iloc[0]
    one = {code: table[table["fact"] == fact] for code, table in given.recalled.items()}
    asked = chosen_prompts(one, n_facts=2, seed=0)
    assert asked["fact"].tolist() == [fact] * len(LANGUAGES)


def test_a_relation_without_values_to_set_to_is_left_out(
    given: Inputs, planted_model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = LANGUAGES
    some = off(given, planted_model)
    zeros = some.off[first][""]
    partial = replace(some, off={first: {"alpha": zeros}, second: {}})
    found = partial.measure(chosen_prompts(given.recalled, n_facts=1, seed=0), key="cards-2")
    assert set(found["relation"]) == {"alpha"}
    assert set(found["language"]) == {first}
    table = summed_up(found)
    assert (table["language"] == first).all()
    assert table[["low", "high"]].isna().all(axis=None)  # of one prompt
    assert table["fact"].notna().all()
    none = replace(some, off={})
    nothing = none.measure(chosen_prompts(given.recalled, n_facts=1, seed=0), key="cards-3")
    assert summed_up(nothing).empty


def test_an_interval_takes_the_prompts_of_a_subject_for_alike() -> None:
    rows = pd.DataFrame(
        {
            "neuron": 1,
            "fact": [f"f{i}" for i in range(6)],
            "relation": "r",
            "subject": [*"aabbcc"],
            "language": "en",
            "effect": [1.0, 1.0, 2.0, 2.0, 4.0, 4.0],
        }
    )
    pair = summed_up(rows).iloc[0]
    alone = summed_up(rows.iloc[::2]).iloc[0]
    assert pair["low"] == pytest.approx(alone["low"])
    assert pair["high"] == pytest.approx(alone["high"])
    assert summed_up(rows[rows["subject"] < "c"])["low"].isna().all()
    assert ablations.FEWEST_SUBJECTS == 3


def test_earlier_measurements_are_effects_with_their_unit(given: Inputs) -> None:
    first = LANGUAGES[0]
    pairs = planted_cards.pairs(
        [
            ("alpha:s0", "alpha", 1, 2, 0.1, 0.2, 0.0),
            ("alpha:s0", "alpha", 1, 3, 0.1, -0.3, 0.0),  # 1 again
        ]
    )
    methods = planted_cards.ablated(
        [
            ("beta:s1", "beta", "drop", "mean", 2, 0.5),
            ("beta:s1", "beta", "drop", "zero", 2, 9.0),
            ("beta:s1", "beta", "score", "mean", 2, 9.0),
        ]
    )
    made = replace(
        given,
        pairs={**given.pairs, first: pd.concat([pairs, pairs.assign(kind="matched", a=7)])},
        ablated={**given.ablated, first: methods},
    )
    table = effects.collected(made, np.array([1, 2, 3]))
    rows = table[["neuron", "measured_by", "fact", "effect", "unit"]].itertuples(index=False)
    assert [tuple(row) for row in rows] == [
        (1, "degenerate_neurons", "alpha:s0", -0.1, "nats"),
        (2, "attribution_methods", "beta:s1", -0.5, "nats, among the candidates"),
        (2, "degenerate_neurons", "alpha:s0", -0.2, "nats"),
        (3, "degenerate_neurons", "alpha:s0", 0.3, "nats"),
    ]
    assert (table["n_prompts"] == 1).all()
    assert effects.collected(made, np.array([3]))["neuron"].tolist() == [3]
    other = replace(made, target="log_probability")
    assert set(effects.collected(other, np.array([2]))["unit"]) == {"nats"}
    assert effects.collected(given.of_relations, np.array([1])).empty
