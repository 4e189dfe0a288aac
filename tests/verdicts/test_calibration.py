"""The verdicts of relation neurons on simulated runs whose truth is known.

The fast part of `tools/calibrate.py`: few runs each, so a bound is broken if so many would hardly
ever be seen within it.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

import calibrate
from calibrate import CLAIMS, NEGLIGIBLE, Runs, repeat
from neuron_atlas.verdicts import relation_verdicts, selector_verdict, sharing_verdicts
from neuron_atlas.verdicts.verdict import Verdict
from simulated_tables import Noise, Shape, Simulation, Truth

UNLIKELY = 0.001
SHAPE = Shape(draws=8)  # fewer draws than a run has, for speed
WHOLE = Shape(draws=8, known=())  # every language knows every relation
LARGER = Shape(facts=36, asked=24, draws=8)  # what sees 0.08 nats, see docs/calibration.md
CAN_FAIL = [name for name in CLAIMS if CLAIMS[name].wrong]


def at_most(runs: Runs, word: str, share: float) -> bool:
    n = runs.words.total()
    return binomtest(runs.words[word], n, share, alternative="greater").pvalue > UNLIKELY


def at_least(runs: Runs, word: str, share: float) -> bool:
    n = runs.words.total()
    return binomtest(runs.words[word], n, share, alternative="less").pvalue > UNLIKELY


def simulation(truth: Truth, seed: int = 0, noise: Noise = calibrate.DEFAULT) -> Simulation:
    return Simulation(np.random.default_rng(seed), SHAPE, noise, truth)


def said(name: str, truth: Truth, n: int = 12) -> Runs:
    return repeat(CLAIMS[name], truth, n, shape=SHAPE)


@pytest.mark.parametrize("name", CLAIMS)
def test_nothing_is_rarely_supported(name: str) -> None:
    null = said(name, Truth(push=-0.2), 40)
    assert at_most(null, "supported", 0.05)
    assert at_most(null, "contradicted", 0.05)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_effect_of_interest_is_found_and_its_interval_covers(name: str) -> None:
    shape = LARGER if name == "relation_neurons_exist" else SHAPE
    there = repeat(CLAIMS[name], CLAIMS[name].truth, 24, shape=shape)
    assert at_least(there, "supported", 0.8)
    if not np.isnan(CLAIMS[name].target):
        n = there.words.total()
        assert binomtest(round(there.covered * n), n, 0.95).pvalue > UNLIKELY


@pytest.mark.parametrize("name", CLAIMS)
def test_precise_nulls_are_shown_and_coarse_ones_said_to_be_untestable(name: str) -> None:
    precise = repeat(CLAIMS[name], Truth(), 6, noise=calibrate.QUIET, shape=WHOLE)
    assert precise.words["not supported"] >= 4
    coarse = repeat(CLAIMS[name], Truth(), 6, noise=Noise(item=2.5), shape=calibrate.SMALL)
    assert coarse.words["untestable"] >= 4


@pytest.mark.parametrize("name", CAN_FAIL)
def test_the_opposite_is_a_contradiction(name: str) -> None:
    assert said(name, CLAIMS[name].wrong or Truth()).words["contradicted"] >= 9


def test_undecided_is_said_between() -> None:
    words = said("cumulativity", Truth(own=-0.05), 24).words + said("interference", Truth()).words
    assert words["undecided"] >= 12


def test_harm_to_everything_is_not_relation_neurons() -> None:
    alike = said("relation_neurons_exist", Truth(own=-0.3, other=-0.3), 24)
    assert at_most(alike, "supported", 0.05)
    special = said("relation_neurons_exist", Truth(own=-0.3), 24)  # positive control
    assert at_least(special, "supported", 0.8)


def test_one_relation_alone_is_not_generality() -> None:
    one = said("relation_neurons_exist", Truth(own=(-1.0, *[0.0] * 11)))
    assert one.words["supported"] == 0
    table = simulation(Truth(own=(-1.0, *[0.0] * 11))).own()
    found = relation_verdicts.relation_neurons_exist(table, negligible=NEGLIGIBLE)
    assert "1 of 12 relations show it by themselves" in found.because


def test_a_hard_push_is_not_relation_neurons() -> None:
    """Random controls that push a third as hard made the old rule say `supported`."""
    new, old = calibrate.CLAIMS, calibrate.OLD
    truth = Truth(push=-0.2)
    told = repeat(old["relation_neurons_exist"], truth, 8, shape=SHAPE)
    assert told.words["supported"] >= 4
    now = repeat(new["relation_neurons_exist"], truth, 8, shape=SHAPE)
    assert now.words["supported"] == 0


def test_sparse_sharing_is_versatility() -> None:
    """6 of 132 cells at -0.5 nats; the mean over all cells is -0.02, which is negligible."""
    sparse = said("versatility_relations", Truth(cells=calibrate.SPARSE), 8)
    assert sparse.words["supported"] == 8
    none = said("interference", Truth(cells=calibrate.SPARSE), 8)  # harm is no improvement
    assert none.words["supported"] <= 1


def test_seen_answers_and_demonstrations_carry_no_verdict() -> None:
    table = simulation(Truth(own=-0.5)).own()
    seen = table.assign(seen=True)
    shown = table.assign(context="block_0")
    for other in (seen, shown):
        found = relation_verdicts.relation_neurons_exist(other, negligible=NEGLIGIBLE)
        assert found.verdict == "untestable"
        assert "relations" in (found.reason or "")


def test_interference_counts_answers_that_become_right() -> None:
    """Only wrong answers improve: a rule that measures right ones alone cannot see it."""
    table = simulation(Truth()).cells()
    better = ~table["correct_before"] & table["kind"].eq("set") & table["relation"].eq("r001")
    moved = table.assign(
        effect=table["effect"] + 1.5 * better, correct_after=table["correct_after"] | better
    )
    found = sharing_verdicts.interference(moved, negligible=NEGLIGIBLE)
    assert found.verdict == "supported"
    assert found.effect.low > 0
    assert "become right" in found.because
    right = sharing_verdicts.interference(moved[moved["correct_before"]], negligible=NEGLIGIBLE)
    assert right.verdict != "supported"


def test_the_parts_of_the_effect_are_shown_and_add_up() -> None:
    table = simulation(Truth(own=-0.5)).own(sides=True)
    split = table.assign(
        effect_type=0.75 * table["effect"], effect_given_type=0.25 * table["effect"]
    )
    found = relation_verdicts.relation_neurons_exist(split.assign(push=2.0), negligible=NEGLIGIBLE)
    for words in ("the answer's type", "given the type", "activation only", "directions", "2.00"):
        assert words in found.because


def test_a_claim_without_rows_is_untestable_and_says_why() -> None:
    own = simulation(Truth()).own()
    beats = selector_verdict.average_precision_beats_other_selectors
    moved = simulation(Truth()).transfer()
    here = moved.assign(
        source=moved["language"].astype(str), language=moved["language"].astype(str)
    )
    for found in (
        relation_verdicts.cumulativity(own, negligible=NEGLIGIBLE),
        beats(own, negligible=NEGLIGIBLE),
        relation_verdicts.versatility_languages(here, negligible=NEGLIGIBLE),
        sharing_verdicts.interference(own, negligible=NEGLIGIBLE),
    ):
        assert (found.verdict, bool(found.reason)) == ("untestable", True)


def test_published_cumulativity_by_hand() -> None:
    """All answers right; the best half breaks none, all break all, the weaker half alone a half."""
    table = simulation(Truth(own=-0.3)).own(doses=True)
    table = table.assign(correct_before=True)
    numbers = table["fact"].astype(str).str[1:].astype(int)
    weak = table["order"].eq("reverse")
    after = table["order"].eq("rank") | (weak & (numbers % 2 == 0))
    found: Verdict | None = relation_verdicts.cumulativity(
        table.assign(correct_after=after), negligible=NEGLIGIBLE
    )
    assert found is not None
    items = table[table["kind"].eq("set")].drop_duplicates(["language", "fact"])
    odd = (items["fact"].astype(str).str[1:].astype(int) % 2).mean()
    assert f"cumulativity {1 - odd:.2f} as Liu et al." in found.because
