"""Laws of interactions, and of the rule: additive is not degenerate, the null is honest."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, RANDOM, Drops, Members
from neuron_atlas.degenerate_neurons.settings import DegeneracyRule

RULE = DegeneracyRule(
    small=0.22,
    negligible=0.05,
    null_quantile=0.99,
    shots=1,
    published_low=0.2,
    published_high=0.25,
)
RARE = -30.0  # log-probability of an answer so rare that log-odds and log-probability are alike
VALUES = st.floats(-3, 3)


def measured(value: dict[int, float], drop: object = sum) -> dict[Members, float]:
    """Measure all sets of the neurons of `value` with the drop that a function of values gives."""
    rising = sorted(value)
    sets = [s for k in range(1, len(rising) + 1) for s in combinations(rising, k)]
    return {s: float(drop([value[n] for n in s])) for s in sets}  # type: ignore[operator]


@given(VALUES, VALUES)
def test_neurons_that_add_up_do_not_interact(a: float, b: float) -> None:
    drops = measured({3: a, 7: b})
    assert degeneracy.interaction(drops, 3, 7) == pytest.approx(0, abs=1e-12)
    assert degeneracy.surplus(drops, (3, 7)) <= 1e-12


@given(VALUES, VALUES, VALUES)
def test_interaction_is_symmetric_and_bounds_the_surplus(a: float, b: float, both: float) -> None:
    drops: Drops = {(3,): a, (7,): b, (3, 7): both}
    found = degeneracy.interaction(drops, 3, 7)
    assert found == degeneracy.interaction(drops, 7, 3)
    assert degeneracy.surplus(drops, (3, 7)) <= min(found, both) + 1e-12


@given(st.lists(VALUES, min_size=3, max_size=4))
def test_no_additive_set_of_any_size_has_a_surplus(values: list[float]) -> None:
    table = degeneracy.describe(RARE, measured(dict(enumerate(values))))
    np.testing.assert_allclose(table["surplus"], 0, atol=1e-6)  # p is at most e^-18


def test_sets_in_which_one_suffices_have_all_of_their_drop_as_surplus() -> None:
    drops = measured({1: 0, 2: 0, 3: 0}, lambda v: 2.0 * (len(v) == 3))
    table = degeneracy.describe(RARE, drops).set_index("members")
    assert table.loc[[(1, 2, 3)], "surplus"].item() == pytest.approx(2)
    assert table.loc[[(1, 2, 3)], "largest"].item() == 0
    assert table.loc[[(1, 2)], "surplus"].item() == 0


def test_a_pair_whose_members_help_when_gone_is_not_degenerate() -> None:
    """Suppressing either raises the answer by 1 nat, both nothing: I = 2, yet nothing is lost."""
    drops: Drops = {(0,): -1.0, (1,): -1.0, (0, 1): 0.0}
    assert degeneracy.interaction(drops, 0, 1) == 2
    assert degeneracy.surplus(drops, (0, 1)) == 0


@given(VALUES, VALUES, VALUES)
def test_interactions_of_either_sign_are_as_easily_found(a: float, b: float, both: float) -> None:
    """What adds up, turned about it, has the same surplus the other way."""
    drops: Drops = {(3,): a, (7,): b, (3, 7): a + b + both}
    turned: Drops = {(3,): a, (7,): b, (3, 7): a + b - both}
    found = degeneracy.signed_surplus(drops, (3, 7))
    assert found == pytest.approx(-degeneracy.signed_surplus(turned, (3, 7)), abs=1e-9)
    assert min(degeneracy.surplus(drops, (3, 7)), degeneracy.shortfall(drops, (3, 7))) <= 0
    assert abs(found) <= abs(both) + 1e-9


def test_the_opposite_needs_a_set_that_does_less_than_its_parts() -> None:
    one_suffices: Drops = {(0,): 0.2, (1,): 0.2, (0, 1): 0.2}
    assert degeneracy.signed_surplus(one_suffices, (0, 1)) == pytest.approx(-0.2)
    both_help: Drops = {(0,): -1.0, (1,): -1.0, (0, 1): -2.0}
    assert degeneracy.signed_surplus(both_help, (0, 1)) == 0  # they add up


def logits(*values: float) -> tuple[float, dict[Members, float]]:
    """Return the clean log-probability and the drops, of the answer's logits: clean, A, B, AB."""
    clean, a, b, both = (-float(np.log1p(np.exp(-x))) for x in values)
    return clean, {(0,): clean - a, (1,): clean - b, (0, 1): clean - both}


def test_a_pair_that_only_saturates_the_softmax_is_not_found_and_a_redundant_one_is() -> None:
    """In log-probability both have as large a surplus; in log-odds one adds up."""
    saturated, redundant = logits(4, 2.8, 2.8, 1.6), logits(0, -0.05, -0.05, -1.0)
    tables = [degeneracy.describe(*one) for one in (saturated, redundant, logits(0, 0, 0, 0))]
    assert all(degeneracy.surplus(drops, (0, 1)) > 0.05 for _, drops in (saturated, redundant))
    assert all((table["largest"] <= RULE.small).all() for table in tables)
    facts, kinds = ["s", "r", "c"], [OWN, OWN, MATCHED]
    one_half = pd.concat(tables, ignore_index=True).assign(fact=facts, kind=kinds)
    both_halves = pd.concat([one_half, one_half.assign(fact=["s2", "r2", "c2"])])
    controls = both_halves[both_halves["kind"] == MATCHED]
    more = [controls.assign(fact=name) for name in ("s", "r", "s2", "r2")]
    judged = degeneracy.judge(pd.concat([both_halves, *more], ignore_index=True), RULE, seed=0)
    own = judged[judged["kind"] == OWN].set_index("fact")["found"]
    assert own.to_dict() == {"s": False, "r": True, "s2": False, "r2": True}
    assert not judged["opposed"].any()


def test_additive_logits_add_up_in_log_odds_and_saturate_in_log_probability() -> None:
    logits = np.array([4.0, 3.0, 2.0, 1.0])  # of the answer: untouched, without A, B, both
    log_p = -np.log1p(np.exp(-logits))
    odds = degeneracy.log_odds(log_p)
    np.testing.assert_allclose(odds, logits, atol=1e-9)
    assert odds[1] + odds[2] - odds[0] - odds[3] == pytest.approx(0, abs=1e-9)
    assert log_p[1] + log_p[2] - log_p[0] - log_p[3] > 0.1


@pytest.mark.parametrize("single", [0.14, 0.16, 0.19])
def test_the_published_rule_takes_independent_neurons_and_ours_does_not(single: float) -> None:
    """Each drops the probability by a share in 13.4 to 20 %; together 1 - (1 - share)^2 > 25 %."""
    drop = -np.log1p(-single)
    drops = measured({0: drop, 1: drop})
    table = pd.concat([degeneracy.describe(RARE, drops)] * 4, ignore_index=True)
    sets = table.assign(fact=list("aabb"), kind=[OWN, MATCHED] * 2)
    judged = degeneracy.judge(sets, RULE, seed=0)
    assert judged["published"].all()
    assert not judged["found"].any()


def test_the_published_rule_s_borders() -> None:
    def passes(low: float, high: float) -> bool:
        drops = -np.log1p(-np.array([low, high]))
        return bool(degeneracy.published(drops[:1], drops[1:], RULE)[0])

    assert passes(0.199, 0.251)
    assert not passes(0.201, 0.5)
    assert not passes(0.1, 0.249)
    independent = 1 - np.sqrt(0.75)
    assert independent == pytest.approx(0.134, abs=5e-4)
    assert not passes(0.13, 1 - 0.87**2)


def sets(
    rng: np.random.Generator, *, n_facts: int = 40, n_pairs: int = 60, real: float = 0.0
) -> pd.DataFrame:
    """A fact's pairs and controls whose surplus is normal; the former's is moved by `real`."""
    rows = n_facts * n_pairs * 2
    random = np.arange(rows) % 2 == 1
    surplus = rng.normal(size=rows) + np.where(random, 0.0, real)
    facts = np.repeat([f"f{i:02d}" for i in range(n_facts)], n_pairs * 2)
    return pd.DataFrame(
        {
            **{"fact": facts, "kind": np.where(random, MATCHED, OWN)},
            **{"size": 2, "largest": 0.0, "drop": surplus},
        }
    ).assign(surplus=surplus)


def test_without_a_difference_real_and_random_pairs_are_found_as_often() -> None:
    judged = degeneracy.judge(sets(np.random.default_rng(0)), RULE, seed=0)
    for name in ("found", "opposed"):
        rates = judged.groupby("kind")[name].mean()
        assert rates[OWN] == pytest.approx(0.005, abs=0.005)
        assert rates[MATCHED] == pytest.approx(0.005, abs=0.005)
    moved = degeneracy.judge(sets(np.random.default_rng(0), real=2.0), RULE, seed=0)
    assert moved.loc[moved["kind"] == OWN, "found"].mean() > 0.2  # positive control


def test_a_threshold_comes_from_the_other_half_of_the_facts() -> None:
    table = sets(np.random.default_rng(1))
    half = table["fact"].map(degeneracy.halves(table["fact"].tolist(), seed=3))
    assert half.groupby(table["fact"]).first().value_counts().tolist() == [20, 20]
    before = degeneracy.judge(table, RULE, seed=3)["threshold"]
    louder = table.assign(surplus=table["surplus"].where(half == 0, table["surplus"] * 10))
    after = degeneracy.judge(louder, RULE, seed=3)["threshold"]
    assert (before[half == 1] == after[half == 1]).all()
    assert (before[half == 0] < after[half == 0]).all()


def test_random_sets_that_break_the_rule_otherwise_set_no_threshold() -> None:
    table = sets(np.random.default_rng(1))
    wild = (table["kind"] == MATCHED) & (np.arange(len(table)) % 10 == 1)
    with_wild = table.assign(
        largest=np.where(wild, 5.0, 0.0), surplus=table["surplus"].mask(wild, 100.0)
    )
    judged = degeneracy.judge(with_wild, RULE, seed=0)
    assert judged["threshold"].max() < 4
    assert not judged["found"][wild].any()


def test_where_there_is_no_null_nothing_is_found() -> None:
    table = sets(np.random.default_rng(1), real=5.0)
    larger = table[table["kind"] == OWN].assign(size=3)
    judged = degeneracy.judge(pd.concat([table, larger], ignore_index=True), RULE, seed=0)
    assert np.isinf(judged.loc[judged["size"] == 3, "threshold"]).all()
    assert not judged.loc[judged["size"] == 3, "found"].any()
    assert judged.loc[judged["size"] == 2, "found"].any()
    one = degeneracy.judge(table[table["fact"] == "f00"], RULE, seed=0)
    assert len(one)
    assert not one["found"].any()  # no other half
    weak = table.assign(kind=table["kind"].replace(MATCHED, RANDOM))
    assert not degeneracy.judge(weak, RULE, seed=0)["found"].any()


@given(st.integers(0, 1000))
def test_growth_with_a_wide_beam_tries_every_set_whose_parts_stay_small(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rising = [2, 3, 5, 7, 11]
    drops = {s: float(rng.choice([0.0, 0.1, 1.0], p=[0.5, 0.3, 0.2]))
             for k in (1, 2) for s in combinations(rising, k)}  # fmt: skip
    found = degeneracy.sets_to_measure(RARE, drops, rising, size=3, small=0.22, beam=1000)
    every = [
        s
        for s in combinations(rising, 3)
        if all(drops[p] <= 0.22 for k in (1, 2) for p in combinations(s, k))
    ]
    assert found == every
    narrow = degeneracy.sets_to_measure(RARE, drops, rising, size=3, small=0.22, beam=1)
    assert set(narrow) <= set(every)


def test_growth_asks_for_parts_that_were_not_measured() -> None:
    drops: dict[Members, float] = {s: 0.0 for k in (1, 2) for s in combinations(range(4), k)}
    drops[0, 1, 2] = 0.01
    wanted = degeneracy.sets_to_measure(RARE, drops, range(4), size=4, small=0.22, beam=1)
    assert wanted == [(0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 2, 3)]


def test_agreement_by_hand_and_where_it_is_not_defined() -> None:
    ours = np.array([True, True, False, False, False])
    theirs = np.array([True, False, True, False, False])
    found = degeneracy.agreement(ours, theirs)
    chance = 0.4 * 0.4 + 0.6 * 0.6
    assert found.kappa == pytest.approx((0.6 - chance) / (1 - chance))
    assert found.jaccard == pytest.approx(1 / 3)
    assert degeneracy.agreement(ours, ours) == degeneracy.Agreement(1.0, 1.0)
    none = np.zeros(5, dtype=bool)
    assert degeneracy.agreement(none, none) == degeneracy.Agreement(None, None)
    assert degeneracy.agreement(none, ours) == degeneracy.Agreement(0.0, 0.0)


def test_a_neuron_like_its_random_ones_matters_as_often_as_one_in_all() -> None:
    rng = np.random.default_rng(0)
    drop = rng.normal(size=(4000, 10, 6))
    passed = degeneracy.exceeds_random(drop[:, 0], drop[:, 1:], negligible=0.0)
    assert passed.mean() == pytest.approx(1 / 10, abs=0.015)
    assert degeneracy.exceeds_random(drop[:, 0] + 9, drop[:, 1:], negligible=0.0).all()
    assert not degeneracy.exceeds_random(drop[:, 0] + 9, drop[:, 1:], negligible=99.0).any()
