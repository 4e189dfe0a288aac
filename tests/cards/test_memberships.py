"""In which sets neurons are, under which names, and at which relation each is best."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import planted
import planted_cards
import planted_scores
from neuron_atlas.cards import memberships, tables
from neuron_atlas.cards.inputs import Inputs
from planted_cards import LANGUAGES, RULE

FIRST, SECOND = LANGUAGES


@pytest.fixture(scope="module")
def every(given: Inputs) -> Inputs:
    """The same with one set of each other kind."""
    place = {"layer": [0], "index": [5], "n_languages": [2], "languages": [list(LANGUAGES)]}
    stand_ins = pd.DataFrame(
        {
            "fact": ["beta:s1", "beta:s1"],
            "relation": "beta",
            "kind": ["own", "matched"],
            "members": [[8, 9], [10, 11]],
            "degenerate": True,
            "surplus": [0.4, 0.5],
        }
    )
    return replace(
        given,
        independent=pd.DataFrame(
            {"fact": ["alpha:s0"], "relation": ["alpha"], "rank": [0], "score": [0.5]}
            | {"neuron": [5], **place}
        ),
        independent_relations=pd.DataFrame({"relation": ["alpha"], "neuron": [5], **place}),
        specific=pd.DataFrame({"language": [SECOND], "rank": [0], "neuron": [6], "entropy": [0.2]}),
        degenerate={**given.degenerate, FIRST: stand_ins},
    )


def test_relation_sets_are_as_they_were_found(given: Inputs) -> None:
    found = memberships.memberships(given, RULE)
    own = found[found["kind"] == "relation"]
    for source in given.sources:
        for relation in planted.RELATIONS:
            rows = own[(own["language"] == source) & (own["name"] == relation)]
            assert rows["neuron"].tolist() == given.relation_sets[source].sets[relation].tolist()
            assert rows["rank"].tolist() == list(range(planted.M))
    assert (own["relation"] == own["name"]).all()
    assert own["score"].between(0, 1).all()


def test_facts_have_their_neurons_by_language(given: Inputs) -> None:
    found = memberships.memberships(given, RULE)
    own = found[(found["kind"] == "fact") & (found["language"] == SECOND)]
    fact = str(own["name"].iloc[0])
    rows = own[own["name"] == fact]
    relation, subject = fact.split(":")
    assert rows["neuron"].tolist() == planted_cards.own_units(fact, relation).tolist()
    assert rows["score"].tolist() == pytest.approx([1.0, 0.75, 0.5])
    answer = planted.answer(relation, subject).replace(".", "_a")
    assert set(rows["label"]) == {f"{FIRST}_{subject} -> {FIRST}_{answer}"}
    assert set(rows["relation"]) == {relation}


def test_every_kind_has_its_rows(every: Inputs) -> None:
    found = memberships.memberships(every, RULE)
    assert list(dict.fromkeys(found["kind"])) == list(tables.KINDS)  # in this order
    rows = found[~found["kind"].isin(["relation", "fact"])]
    spelt = rows.astype(object).where(rows.notna(), None)
    label = f"{FIRST}_s0 -> {FIRST}_alpha_a0"
    stand_ins = f"{FIRST}_s1 -> {FIRST}_{planted.answer('beta', 's1').replace('.', '_a')}"
    assert [tuple(row) for row in spelt.itertuples(index=False)] == [
        (5, "language_independent", "alpha", "alpha", "alpha", None, None, None),
        (5, "language_independent", "alpha:s0", label, "alpha", None, 0, 0.5),
        (6, "language_specific", SECOND, SECOND, None, SECOND, 0, 0.2),
        (8, "degenerate", "beta:s1", stand_ins, "beta", FIRST, None, 0.4),
        (9, "degenerate", "beta:s1", stand_ins, "beta", FIRST, None, 0.4),
    ]


def test_the_best_relation_is_that_of_relation_sets_first(every: Inputs) -> None:
    found = memberships.memberships(every, RULE)
    best = memberships.best(found, LANGUAGES)
    own = found[(found["kind"] == "relation") & (found["rank"] == 0)]
    pooled = own[own["language"] == "pooled"].drop_duplicates("neuron")
    for neuron, relation in zip(pooled["neuron"], pooled["relation"], strict=True):
        assert best.loc[neuron].tolist() == [relation, "pooled"]
    unit = int(planted_scores.unit("fact:alpha:s0")[0])
    assert best.loc[unit].tolist() == ["alpha", FIRST]
    assert best.loc[5, "best_relation"] == "alpha"
    assert 6 not in best.index


def test_each_neuron_has_one_row_with_its_sets_counted(every: Inputs) -> None:
    found = memberships.memberships(every, RULE)
    size = np.arange(3 * planted.N_NEURONS, dtype=float).reshape(3, -1)
    massive = np.zeros(size.shape, dtype=np.bool_)
    massive[0, 6] = True
    table = memberships.neurons(
        found, memberships.best(found, LANGUAGES), size=size, massive=massive
    ).set_index("neuron", drop=False)
    assert table["neuron"].tolist() == sorted(set(found["neuron"]))
    assert (table["layer"] * planted.N_NEURONS + table["index"] == table["neuron"]).all()
    assert (table["size"] == table["neuron"]).all()
    assert table.loc[table["massive"], "neuron"].tolist() == [6]
    assert table.loc[5, "n_language_independent"] == 2
    assert table.loc[6, ["n_relation", "n_fact", "n_language_specific"]].tolist() == [0, 0, 1]
    assert table.loc[8, "n_degenerate"] == 1
    counted = table[[f"n_{kind}" for kind in tables.KINDS]].to_numpy().sum()
    assert counted == len(found)


def test_where_hidden_units_are_other_neurons_only_relation_sets_count(every: Inputs) -> None:
    found = memberships.memberships(every.of_relations, RULE)
    assert set(found["kind"]) == {"relation"}


def test_no_set_at_all_gives_tables_without_rows(given: Inputs) -> None:
    empty = replace(given.of_relations, relation_table=given.relation_table[:0])
    found = memberships.memberships(empty, RULE)
    assert found.empty
    assert {k: str(v) for k, v in found.dtypes.items()} == dict(tables.MEMBERSHIPS)
    best = memberships.best(found, LANGUAGES)
    size = np.ones((3, planted.N_NEURONS))
    table = memberships.neurons(found, best, size=size, massive=size > 1)
    assert {k: str(v) for k, v in table.dtypes.items()} == dict(tables.NEURONS)
