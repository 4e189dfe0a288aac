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
from neuron_atlas.degenerate_neurons import search, suppression
from neuron_atlas.degenerate_neurons.claims import ClaimPlan
from neuron_atlas.degenerate_neurons.search import FoundSets
from neuron_atlas.degenerate_neurons.settings import (
    Checking,
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

SEARCH = Search(candidates=5, n_draws=2, max_size=3, beam=100)
SETTINGS = DegenerateNeurons(
    search=SEARCH,
    rule=RULE,
    use=OtherFacts(n_facts=6, n_draws=9),
    claims=ClaimPlan(n_facts=99, n_negatives=3, train=1.0, validation=0.5),
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
def found(lm: LanguageModel, recalled: pd.DataFrame) -> FoundSets:
    prompts, source = FactPrompts(lm, recalled), planted_pairs.source()
    rows = search.families(recalled, planted_pairs.graded(), source, SETTINGS, seed=0)
    measured = search.measure_families(prompts, rows)
    return search.judge_families(prompts, rows, measured, source, SETTINGS, seed=0)


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
    for empty, full in ((nothing.pairs, found.pairs), (nothing.sets, found.sets)):
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
    chosen = (pairs["fact"] == f"rel:{fact}") & (pairs["a"] == a) & (pairs["b"] == b)
    return pairs[chosen & ~pairs["random"]].iloc[0]


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
    assert both[["found", "confirmed", "degenerate"]].all()
    assert additive["interaction"] == pytest.approx(0, abs=1e-3)
    assert not additive["found"]
    for drop in (additive["drop_a"], additive["drop_b"]):
        assert 0.134 < -np.expm1(-drop) < 0.2


def test_the_published_rule_is_fooled_by_the_additive_pair(found: FoundSets) -> None:
    assert pair(found.pairs, "sum", "ef")["published"]
    assert pair(found.pairs, "both", "ab")["published"]


def test_exactly_the_planted_sets_come_out_and_no_random_one(found: FoundSets) -> None:
    assert not found.pairs.loc[found.pairs["random"], ["found", "published"]].any(axis=None)
    assert members(found.sets) == {("both", "ab"), ("spare", "cd"), ("three", "tuv")}
    assert found.sets["confirmed"].all()
    assert len(found.pairs) == 7 * (1 + SEARCH.n_draws) * 10


def test_only_neurons_that_other_facts_need_are_degenerate_not_redundant(found: FoundSets) -> None:
    assert pair(found.pairs, "both", "ab")["elsewhere"]
    assert not pair(found.pairs, "spare", "cd")["elsewhere"]


def test_what_holds_in_one_wording_alone_is_not_confirmed(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    prompts, source = FactPrompts(lm, recalled), planted_pairs.source()
    rows = search.families(recalled, planted_pairs.graded(), source, SETTINGS, seed=0)
    measured = search.measure_families(prompts, rows)
    held_out = rows.loc[rows["fact"] == "rel:both", "held_out"].iloc[0]
    other = _Barred(prompts, ("rel:both", int(held_out)))
    again = search.judge_families(other, rows, measured, source, SETTINGS, seed=0)
    row = pair(again.pairs, "both", "ab")
    assert row[["found", "confirmed", "degenerate"]].tolist() == [True, False, False]
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
    prompts, source = FactPrompts(lm, one), planted_pairs.source()
    rows = search.families(one, planted_pairs.graded(), source, SETTINGS, seed=0)
    assert (rows["held_out"] == search.ABSENT).all()
    measured = search.measure_families(prompts, rows)
    result = search.judge_families(prompts, rows, measured, source, SETTINGS, seed=0)
    row = pair(result.pairs, "both", "ab")
    assert row[["found", "confirmed", "degenerate"]].tolist() == [True, False, True]


def test_families_rotate_over_paraphrases_and_controls_match(recalled: pd.DataFrame) -> None:
    source = planted_pairs.source()
    rows = search.families(recalled, planted_pairs.graded(), source, SETTINGS, seed=0)
    assert set(rows["template"]) == {0, 1}  # the third tests
    assert (rows["template"] != rows["held_out"]).all()
    own = rows[~rows["random"]].set_index("fact")["members"]
    for fact, drawn in rows[rows["random"]].groupby("fact")["members"]:
        assert not {n for s in drawn for n in s} & set(own[fact])
    again = search.families(recalled, planted_pairs.graded(), source, SETTINGS, seed=0)
    pd.testing.assert_frame_equal(rows, again)


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
