"""Which arms are measured: their kinds, how many, and what each is scaled to."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import tiny
from clean_values import clean, table
from neuron_atlas.arms.arm import Scaled, edits
from neuron_atlas.arms.controls import Asked, scaled
from neuron_atlas.arms.settings import Interference
from neuron_atlas.interventions import relation_arms
from neuron_atlas.neurons.relation_sets import RelationSets

HOW = Interference(
    value="zero",
    positions="answer",
    max_facts=3,
    max_seen=1,
    n_draws=5,
    n_across_draws=2,
    n_dose_draws=3,
    doses=[0.25, 0.5],
    pushes=[0.5, 2.0],
    n_others=2,
)
SETS = {r: np.array([i, i + 6, i + 24, i + 30]) for i, r in enumerate("abcd")}
FOUND = RelationSets(SETS, np.ones((3, 24)), np.array([60]), "xx")
OTHERS, K = len(SETS) - 1, 4


@pytest.fixture(scope="module")
def asked() -> Asked:
    lm = tiny.random_model("llama")
    return Asked("a", clean(lm), {"": table(lm)[0]}, ("test", "xx", "a"), seed=0)


@pytest.fixture(scope="module")
def planned(asked: Asked) -> list[Scaled]:
    return relation_arms.interference_arms(asked, "xx", FOUND, HOW)


def test_kinds_and_how_many_there_are_of_each(planned: list[Scaled]) -> None:
    assert Counter(one.arm.kind for one in planned) == {
        "set": len(SETS),
        "size_matched": HOW.n_across_draws,
        "push_matched": HOW.n_draws + OTHERS * HOW.n_across_draws,
        "direction": HOW.n_across_draws,
        "other_set": OTHERS,
        "own_scaled": OTHERS,
        "dose": 2 * (2 + 2 * HOW.n_dose_draws) + HOW.n_draws - HOW.n_dose_draws,
        "curve": 2 * (1 + HOW.n_dose_draws),
    }
    sizes = {(one.arm.kind, one.arm.order, len(one.arm.neurons)) for one in planned}
    assert {size for kind, _, size in sizes if kind == "dose"} == {1, 2}
    assert {size for kind, _, size in sizes if kind not in {"dose", "direction"}} == {K}
    assert {(one.arm.source, one.arm.table) for one in planned} == {("xx", "")}


def test_raw_sites_have_no_directions(asked: Asked) -> None:
    writing = replace(asked.clean.writing, site="gate")
    raw = replace(asked, clean=replace(asked.clean, writing=writing))
    planned = relation_arms.interference_arms(raw, "xx", FOUND, HOW)
    assert "direction" not in {one.arm.kind for one in planned}


def test_every_arm_that_others_get_their_push_from_is_measured(planned: list[Scaled]) -> None:
    own = planned[0].arm
    assert (own.kind, own.relation) == ("set", "a")
    arms = [one.arm for one in planned]
    for one in planned:
        assert all(arm in arms for arm in one.to)
    matched = {one.arm.relation: one.to[0] for one in planned if one.arm.kind == "push_matched"}
    assert {r: arm.relation for r, arm in matched.items()} == {r: r for r in SETS}
    assert all(arm.kind == "set" for arm in matched.values())
    assert all(one.to == (own,) for one in planned if one.arm.kind in {"direction", "curve"})


def test_few_arms_hold_every_arm_that_they_are_scaled_to(planned: list[Scaled]) -> None:
    few = [planned[i] for i in relation_arms.few_arms(planned, "a", n_draws=2)]
    arms = [one.arm for one in few]
    assert all(arm in arms for one in few for arm in one.to)
    assert Counter(arm.kind for arm in arms) == {"set": 1, "push_matched": 2}
    assert {arm.relation for arm in arms} == {"a"}


def test_a_set_and_another_are_compared_at_the_smaller_push(
    asked: Asked, planned: list[Scaled]
) -> None:
    """Neither is driven beyond the values that it was to get."""
    prepared = edits([one.arm for one in planned], asked.tables)
    gains, pushes = scaled(planned, prepared, asked.clean)
    place = {(one.arm.kind, one.arm.relation, one.arm.order): i for i, one in enumerate(planned)}
    whole = {r: pushes[place["set", r, ""]] for r in SETS}
    for r in "bcd":
        other, own = place["other_set", r, ""], place["own_scaled", "a", r]
        np.testing.assert_allclose(pushes[other], pushes[own], rtol=1e-3)
        np.testing.assert_allclose(pushes[own], np.minimum(whole["a"], whole[r]), rtol=1e-3)
        assert (gains[[other, own]] <= 1 + 1e-3).all()
        assert (gains[[other, own]].max(0) > 1 - 1e-3).all()
    assert any(np.abs(whole["a"] / whole[r] - 1).max() > 0.05 for r in "bcd")  # positive control
    for one, push in zip(planned, pushes, strict=True):
        if one.arm.kind == "curve":
            np.testing.assert_allclose(push, one.arm.alpha * whole["a"], rtol=1e-3)


def test_doses_are_parts_of_the_set_and_of_its_matched_sets(planned: list[Scaled]) -> None:
    matched = {
        one.arm.draw: one.arm.neurons
        for one in planned
        if (one.arm.kind, one.arm.relation) == ("push_matched", "a")
    }
    for arm, to in ((one.arm, one.to) for one in planned if one.arm.kind == "dose"):
        k = len(arm.neurons)
        if arm.order == "rank":
            assert arm.neurons.tolist() == SETS["a"][:k].tolist()
        elif arm.order == "reverse":
            assert arm.neurons.tolist() == SETS["a"][-k:].tolist()
        elif arm.order == "random_order":
            assert set(arm.neurons) <= set(SETS["a"])
        else:
            assert arm.order == "push_matched"
            assert arm.neurons.tolist() == matched[arm.draw][:k].tolist()
            assert to[0].neurons.tolist() == SETS["a"][:k].tolist()
    draws = [
        o.arm.draw for o in planned if (o.arm.order, len(o.arm.neurons)) == ("push_matched", 2)
    ]
    assert sorted(draws) == list(range(HOW.n_draws))  # the half has every draw


@pytest.mark.parametrize(
    ("k", "shares", "expected"),
    [(100, [0.05, 0.5], [5, 50]), (3, [0.1, 0.5], [1, 2]), (1, [0.5], []), (2, [0.5, 0.9], [1])],
)
def test_dose_sizes(k: int, shares: list[float], expected: list[int]) -> None:
    assert relation_arms.dose_sizes(k, shares) == expected


def test_transfer_measures_every_source_s_set_of_the_relation(asked: Asked) -> None:
    lacking = RelationSets({"b": SETS["b"]}, FOUND.size, FOUND.banned, "zz")
    found = {"xx": FOUND, "yy": replace(FOUND, source="yy"), "zz": lacking}
    planned = relation_arms.transfer_arms(asked, found, HOW)
    assert scaled(planned, edits([one.arm for one in planned], asked.tables), asked.clean)
    for source in ("xx", "yy"):
        own = [one for one in planned if one.arm.source == source]
        assert Counter(one.arm.kind for one in own) == {
            "transfer": 1,
            "transfer_matched": HOW.n_across_draws,
            "transfer_other_set": HOW.n_others,
            "transfer_own_scaled": HOW.n_others,
        }
        others = {one.arm.relation for one in own if one.arm.kind == "transfer_other_set"}
        assert others == {o.arm.order for o in own if o.arm.kind == "transfer_own_scaled"}
        assert len(others) == HOW.n_others
        assert "a" not in others
    assert {one.arm.source for one in planned} == {"xx", "yy"}


def test_language_specific_neurons_are_compared_at_the_smaller_push(asked: Asked) -> None:
    """As many as the set has, set to zero; a source without any is not compared."""
    specific = {"xx": np.array([60, 7, 50, 51, 8, 9]), "zz": np.array([1])}  # 60 is banned
    ready = relation_arms.with_zero(replace(asked, tables={"": asked.tables[""] + 1}))
    assert (ready.tables[relation_arms.ZERO] == 0).all()
    found = {"xx": FOUND, "yy": replace(FOUND, source="yy")}
    planned = relation_arms.specific_arms(ready, found, specific)
    whole, other, own = planned
    assert [one.arm.kind for one in planned] == [
        *("specific_set", "specific_other_set", "specific_own_scaled"),
    ]
    assert {(one.arm.source, one.arm.relation) for one in planned} == {("xx", "a")}
    assert other.arm.neurons.tolist() == [7, 50, 51, 8]
    assert other.arm.table == relation_arms.ZERO
    assert own.arm.neurons.tolist() == whole.arm.neurons.tolist() == SETS["a"].tolist()
    arms = [one.arm for one in planned]
    gains, pushes = scaled(planned, edits(arms, ready.tables), ready.clean)
    np.testing.assert_allclose(pushes[1], pushes[2], rtol=1e-3)
    assert (gains[1:] <= 1 + 1e-3).all()
    assert (pushes[1] <= pushes[0] * (1 + 1e-3)).all()
    assert relation_arms.specific_arms(ready, {"yy": FOUND}, specific) == []
