"""Pair ablations are exact, and of the planted pairs exactly the degenerate one comes out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_degeneracy import RULE

import planted_pairs
import tiny
from neuron_atlas.degenerate_neurons import contexts, families, search, suppression
from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, RANDOM
from neuron_atlas.degenerate_neurons.search import FoundSets
from neuron_atlas.degenerate_neurons.settings import (
    Checking,
    ClaimPlan,
    DegenerateNeurons,
    OtherFacts,
    Search,
)
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.recall import answers
from planted_pairs import UNIT
from references import overwritten, plain
from rounding import rounding

SEARCH = Search(candidates=5, pool=5, tried=4, random=5, n_draws=2, max_size=3, beam=100)
PLAN = ClaimPlan(n_train=99, n_validation=99, n_test=99, n_negatives=3, validation=0.5)
SETTINGS = DegenerateNeurons(
    search=SEARCH,
    rule=RULE,
    use=OtherFacts(n_facts=6, n_draws=9),
    claims=PLAN,
    checking=Checking(
        share=0.7, tau=0.2, refine=0.7, n_draws=3, rule="graded", nodes=2, target="candidates"
    ),
)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return planted_pairs.model()


@pytest.fixture(scope="module")
def recalled(lm: LanguageModel) -> pd.DataFrame:
    return planted_pairs.recalled(lm)


@pytest.fixture(scope="module")
def prompts(lm: LanguageModel, recalled: pd.DataFrame) -> FactPrompts:
    return FactPrompts(lm, recalled, shown(recalled))


def shown(recalled: pd.DataFrame) -> pd.DataFrame:
    return contexts.after_demonstrations(recalled, planted_pairs.facts(), shots=1, seed=0)


def chosen(prompts: FactPrompts, recalled: pd.DataFrame) -> pd.DataFrame:
    source = planted_pairs.source()
    return families.choose(prompts, recalled, planted_pairs.graded(), source, SETTINGS, seed=0)


def judged(asked: FactPrompts, rows: pd.DataFrame, measured: pd.DataFrame) -> FoundSets:
    return search.judge_families(asked, rows, measured, planted_pairs.source(), SETTINGS, seed=0)


def measured_by(prompts: FactPrompts, rows: pd.DataFrame) -> pd.DataFrame:
    return families.measure(prompts, rows, small=RULE.small, width=planted_pairs.N_NEURONS)


@pytest.fixture(scope="module")
def found(prompts: FactPrompts, recalled: pd.DataFrame) -> FoundSets:
    rows = chosen(prompts, recalled)
    return judged(prompts, rows, measured_by(prompts, rows))


def test_where_no_fact_is_known_the_tables_are_empty_and_of_the_same_types(
    lm: LanguageModel, recalled: pd.DataFrame, found: FoundSets
) -> None:
    nothing = search.find_sets(
        FactPrompts(lm, recalled),
        recalled,
        planted_pairs.graded().head(0),
        planted_pairs.source(),
        SETTINGS,
        seed=0,
        key="nothing",
    )
    unasked = search.find_sets(
        FactPrompts(lm, recalled),
        recalled.assign(correct=False),
        planted_pairs.graded().assign(template=0, method="attribution"),
        planted_pairs.source(),
        SETTINGS,
        seed=0,
        key="unasked",
    )
    tables = [(one.pairs, found.pairs) for one in (nothing, unasked)]
    tables += [(one.sets, found.sets) for one in (nothing, unasked)]
    for empty, full in tables:
        assert len(full)
        assert empty.empty
        assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def members(sets: pd.DataFrame) -> set[tuple[str, str]]:
    """Return fact and unit names of some sets, such as ('both', 'ab')."""
    name = {i: n for n, i in UNIT.items()}
    return {
        (fact.split(":")[1], "".join(name.get(n, "?") for n in s))
        for fact, s in zip(sets["fact"], sets["members"], strict=True)
    }


def pair(pairs: pd.DataFrame, fact: str, names: str) -> pd.Series:
    a, b = (UNIT[n] for n in names)
    own = (pairs["fact"] == f"rel:{fact}") & (pairs["a"] == a) & (pairs["b"] == b)
    return pairs[own & (pairs["kind"] == OWN)].iloc[0]


def test_the_planted_facts_are_known_and_the_units_do_what_is_said(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    assert recalled["known"].all()
    sets = [tuple(UNIT[n] for n in s) for s in ("a", "ab", "e", "ef", "t", "tu", "tuv")]
    prompts = FactPrompts(lm, recalled)
    facts = ["both", "both", "sum", "sum", "three", "three", "three"]
    wanted = [PromptSets(f"rel:{f}", 0, [s]) for f, s in zip(facts, sets, strict=True)]
    drops = [next(iter(one.drops.values())) for one in prompts.suppress(wanted)]
    np.testing.assert_allclose(drops, [0, 3, 0.17, 0.34, 0, 0, 3], atol=5e-3)


def test_the_redundant_pair_is_found_and_the_additive_one_is_not(found: FoundSets) -> None:
    both, additive = pair(found.pairs, "both", "ab"), pair(found.pairs, "sum", "ef")
    assert both["interaction"] == pytest.approx(planted_pairs.FULL, abs=5e-3)
    assert both["log_odds_interaction"] == pytest.approx(planted_pairs.FULL, abs=5e-3)
    assert both[["found", "confirmed", "shown_confirmed", "testable", "degenerate"]].all()
    assert additive["interaction"] == pytest.approx(0, abs=1e-3)
    assert not additive["found"]
    for drop in (additive["drop_a"], additive["drop_b"]):
        assert 0.134 < -np.expm1(-drop) < 0.2


def test_the_published_rule_is_fooled_by_the_additive_pair(found: FoundSets) -> None:
    assert pair(found.pairs, "sum", "ef")["published"]
    assert pair(found.pairs, "both", "ab")["published"]


def test_exactly_the_planted_sets_come_out_and_no_random_one(found: FoundSets) -> None:
    others = found.pairs["kind"] != OWN
    assert not found.pairs.loc[others, ["found", "opposed", "published"]].any(axis=None)
    assert members(found.sets) == {("both", "ab"), ("spare", "cd"), ("three", "tuv")}
    assert found.sets["confirmed"].all()
    n = 5 * 10 + 2 * 6  # pairs of five neurons, and of four where one is needed alone
    counts = {OWN: n, MATCHED: n, RANDOM: 2 * 7 * 10}
    assert found.pairs["kind"].value_counts().to_dict() == counts


def test_only_neurons_that_other_facts_need_are_degenerate_not_redundant(found: FoundSets) -> None:
    assert pair(found.pairs, "both", "ab")["elsewhere"]
    assert not pair(found.pairs, "spare", "cd")["elsewhere"]


def test_controls_are_strong_elsewhere_of_the_same_layer_and_of_the_nearest_drop(
    found: FoundSets,
) -> None:
    control = found.pairs[found.pairs["kind"] == MATCHED]
    own = found.pairs[found.pairs["kind"] == OWN].set_index(["fact", "a", "b"])
    graded = planted_pairs.graded()
    for row in control.itertuples():
        pair_of = own.loc[(row.fact, row.own_a, row.own_b)]
        drops = [[one["drop_a"], one["drop_b"]] for one in (row._asdict(), pair_of)]
        ways = [np.abs(np.subtract(*way)).mean() for way in (drops, [drops[0][::-1], drops[1]])]
        assert min(abs(row.mismatch - away) for away in ways) < 1e-9
        elsewhere = graded[graded["fact"] != row.fact]["neuron"]
        assert {row.a, row.b} <= set(elsewhere)
        assert not {row.a, row.b} & set(graded[graded["fact"] == row.fact]["neuron"])
    additive = control[control["fact"] == "rel:sum"]
    assert additive["mismatch"].max() == pytest.approx(planted_pairs.STEP, abs=1e-2)
    assert control.loc[control["fact"] == "rel:both", "mismatch"].max() < 1e-3


@pytest.mark.parametrize("place", ["held_out", "shown"])
def test_what_holds_in_one_wording_alone_is_not_confirmed(
    prompts: FactPrompts, recalled: pd.DataFrame, place: str
) -> None:
    rows = chosen(prompts, recalled)
    measured = measured_by(prompts, rows)
    there = rows.loc[rows["fact"] == "rel:both", place].iloc[0]
    again = judged(_Barred(prompts, ("rel:both", int(there))), rows, measured)
    row = pair(again.pairs, "both", "ab")
    assert row["found"]
    assert not row["degenerate"]
    assert row["confirmed"] == (place == "shown")
    assert pair(again.pairs, "spare", "cd")["degenerate"]


class _Barred(FactPrompts):
    """Prompts on which one prompt's answer needs every neuron: each set drops by 1 nat."""

    def __init__(self, prompts: FactPrompts, prompt: tuple[str, int]) -> None:
        self._inner, self._prompt = prompts, prompt

    def suppress(self, requests: list[PromptSets]) -> Iterator[suppression.AnswerDrops]:
        for request, one in zip(requests, self._inner.suppress(requests), strict=True):
            barred = (request.fact, request.template) == self._prompt
            yield replace(one, drops=dict.fromkeys(one.drops, 1.0)) if barred else one


def test_a_language_of_one_paraphrase_confirms_nothing_and_still_finds(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    one = recalled[recalled["template"] == 0]
    prompts = FactPrompts(lm, one)
    rows = chosen(prompts, one)
    assert (rows[["held_out", "shown"]] == families.ABSENT).all(axis=None)
    measured = measured_by(prompts, rows)
    result = judged(prompts, rows, measured)
    row = pair(result.pairs, "both", "ab")
    names = ["found", "confirmed", "degenerate", "testable"]
    assert row[names].tolist() == [True, False, True, False]


def test_families_rotate_over_paraphrases_and_controls_match(
    prompts: FactPrompts, recalled: pd.DataFrame
) -> None:
    rows = chosen(prompts, recalled)
    assert set(rows["template"]) == {0, 1}  # the third tests
    assert (rows["template"] != rows["held_out"]).all()
    for own, pool, random in zip(rows["own"], rows["pool"], rows["random"], strict=True):
        assert not set(own) & {n for draw in random for n in draw}
        assert not set(own) & set(pool)
    pd.testing.assert_frame_equal(rows, chosen(prompts, recalled))


@contextmanager
def suppressed(lm: LanguageModel, flat: tuple[int, ...], where: slice) -> Iterator[None]:
    """The obvious way: one hook a neuron."""
    modules, zeros = site_modules(lm, "hidden"), torch.zeros(lm.n_neurons)
    with ExitStack() as stack:
        for layer, index in (divmod(n, lm.n_neurons) for n in flat):
            stack.enter_context(overwritten(modules[layer][0], [index], zeros, where))
        yield


@pytest.mark.parametrize("family", sorted(tiny.CONFIGS))
def test_pair_ablations_equal_one_full_forward_a_pair(family: str) -> None:
    lm = tiny.random_model(family)
    rows = pd.DataFrame(
        {
            "fact": ["r:1", "r:2"],
            "template": 0,
            "prompt": ["a b c", "d e f g h"],
            "separator": " ",
            "objects": [["x"], ["y"]],
            "candidates": [["x", "y"], ["x", "y"]],
            "candidate_labels": [["k", "l m"], ["k", "l m"]],
        }
    )
    rows = answers.score(lm, rows)
    near = rounding(np.concatenate(rows["log_probabilities"].tolist()), tiny.DEPTH)
    neurons = np.random.default_rng(0).choice(lm.n_layers * lm.n_neurons, 5, replace=False)
    sets = suppression.up_to_pairs(neurons.tolist())
    prompts = FactPrompts(lm, rows)
    wanted = [PromptSets(f, 0, sets) for f in rows["fact"]]
    moved = 0.0
    for request, one in zip(wanted, prompts.suppress(wanted), strict=True):
        query = prompts._queries[request.fact, 0]
        (answer,) = query.answers
        first = len(query.prompt.before) - (0 if lm.architecture.encoder else 1)
        last = first + len(answer) if lm.architecture.encoder else None
        clean = plain(lm, query, answer)
        assert one.clean == pytest.approx(clean, abs=near)
        for chosen, drop in one.drops.items():
            with suppressed(lm, chosen, slice(first, last)):
                assert drop == pytest.approx(clean - plain(lm, query, answer), abs=near)
            moved = max(moved, abs(drop))
    assert moved > 0.01  # positive control: suppression does something
