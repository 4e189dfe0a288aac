"""Arms of an editing experiment: equal sizes, the same facts, and a true second step."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import planted
import planted_scores
from editing_plans import HOW, RULE
from neuron_atlas.editing import arm_sets, plan
from neuron_atlas.editing.all_edits import untested
from neuron_atlas.editing.asked import asked
from neuron_atlas.editing.baselines import measurable
from neuron_atlas.editing.independent import independent_neurons
from neuron_atlas.editing.measured_edits import Questions
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.tables import (
    ARMS,
    BASELINES,
    GENERALITY,
    IN_ALL_ARMS,
    INDEPENDENT,
    JOINT,
    LANGUAGE_SPECIFIC,
    LOCALITY,
    MONOLINGUAL,
    MONOLINGUAL_NEURONS,
    MORE_PARAPHRASES,
    NEIGHBOUR,
    OF_THE_FACT,
    OTHER_SOURCES,
    PORTABILITY,
    PORTABILITY_MORE,
    RELIABILITY,
    SEQUENTIAL,
    TEXT,
)
from neuron_atlas.interventions import neuron_sets, suppress_enhance
from neuron_atlas.interventions.neuron_sets import RANDOM, NeuronSet
from neuron_atlas.language_neurons import build
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import trees
from neuron_atlas.scoring.candidates import CandidateTokens
from planted_scores import unit
from references import letters

SETS = tuple(arm for arm in ARMS if arm not in BASELINES)
# Two units that fire in one language alone, and one that no prompt reads.
SPECIFIC = {
    code: np.append(unit(f"language:{code}:0", f"language:{code}:1"), 0) for code in ("xa",)
}


def test_parts_are_equal_and_hold_nobody_twice() -> None:
    same = np.arange(10)
    assert arm_sets.in_parts([same, same], 5).tolist() == [0, 1, 2, 3, 4]
    assert arm_sets.in_parts([same, same[::-1]], 4).tolist() == [0, 1, 9, 8]
    assert arm_sets.part_sizes(5, 2) == [3, 2]
    assert arm_sets.part_sizes(10, 3) == [4, 3, 3]


@pytest.fixture(scope="module")
def tables(planted_model: LanguageModel) -> tuple[Tables, dict[str, pd.DataFrame]]:
    recalled = {name: planted_scores.recalled(planted_model, name) for name in planted.LANGUAGES}
    scores = {name: planted_scores.scores(table, name) for name, table in recalled.items()}
    return plan.read_tables(recalled), scores


def chosen_cases(
    lm: LanguageModel,
    tables: Tables,
    *,
    max_facts: int = planted_scores.N_SUBJECTS,
    stored: Mapping[str, Collection[str]] | None = None,
) -> plan.Cases:
    """Choose facts; without `stored`, those are the ones that have scores."""
    if stored is None:
        names = {
            str(f) for table in tables.prompts.values() for f in planted_scores.facts(table)["fact"]
        }
        stored = dict.fromkeys(tables.prompts, names)
    how = HOW.model_copy(update={"max_facts": max_facts})
    return plan.choose_cases(tables, CandidateTokens(lm), how, stored=stored, seed=0)


def cases(lm: LanguageModel, tables: Tables, *, max_facts: int = 2) -> list[Case]:
    return chosen_cases(lm, tables, max_facts=max_facts).edited


def choose(
    lm: LanguageModel, tables: Tables, scores: dict[str, pd.DataFrame], m: int, *, k: int = 30
) -> list[NeuronSet]:
    sizes = dict.fromkeys(planted.LANGUAGES, planted_scores.source())
    rule = RULE.model_copy(update={"k": k})
    stored = arm_sets.SetInputs(tables, scores, sizes, "log_probability", rule, SPECIFIC)
    how = HOW.model_copy(update={"neurons": m})
    return arm_sets.choose_sets(lm, stored, cases(lm, tables), how, seed=0)


def test_every_arm_has_the_same_facts_and_as_many_neurons(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    found = choose(planted_model, *tables, 3)
    table = neuron_sets.describe(found)
    assert set(table["method"]) == set(SETS)
    assert (table["k"] == 3).all()
    facts = table.groupby("method")["fact"].agg(lambda f: tuple(sorted(set(f))))
    assert facts.nunique() == 1
    assert len(facts.iloc[0]) == 10
    assert (table.groupby(["fact", "method"]).size().unstack()[RANDOM] == 3).all()
    assert all(len(set(s.neurons.tolist())) == 3 for s in found)


def test_planted_neurons_are_found_where_they_were_planted(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    """The languages share the fact's unit alone; the first language's best are its own units."""
    for own in choose(planted_model, *tables, 2):
        fact, language = unit(f"fact:{own.fact}")[0], unit("language:xa:1", "language:xb:1")
        if own.method == INDEPENDENT:
            assert own.neurons[0] == fact
        elif own.method in (MONOLINGUAL, MONOLINGUAL_NEURONS):
            assert own.neurons[0] == language[0]
            assert fact not in own.neurons
        elif own.method == JOINT:
            np.testing.assert_array_equal(own.neurons, language)


@pytest.mark.parametrize(("k", "size", "arms"), [(3, 3, False), (4, 2, True), (5, 3, True)])
def test_all_arms_of_a_fact_have_as_many_neurons_as_its_independent_one(
    planted_model: LanguageModel,
    tables: tuple[Tables, dict[str, pd.DataFrame]],
    k: int,
    size: int,
    arms: bool,
) -> None:
    """Two sources share one of the three best, two of the four best, and three of the five best."""
    found = neuron_sets.describe(choose(planted_model, *tables, 3, k=k))
    assert found["k"].eq(size).all()
    assert found["fact"].nunique() == 10
    assert {INDEPENDENT, RANDOM}.issubset(found["method"]) == arms


def test_language_specific_neurons_are_the_first_source_s_for_every_fact(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    every = choose(planted_model, *tables, 2)
    found = [own.neurons.tolist() for own in every if own.method == LANGUAGE_SPECIFIC]
    assert found == 10 * [SPECIFIC["xa"][:2].tolist()]
    too_few = neuron_sets.describe(choose(planted_model, *tables, 4))
    assert set(too_few["method"]) == set(SETS) - {LANGUAGE_SPECIFIC}


def test_a_fact_with_too_few_shared_neurons_has_no_such_arm_and_no_random_one(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    """Of the three best of each language only the fact's own is in both."""
    found = neuron_sets.describe(choose(planted_model, *tables, 2, k=3))
    assert set(found["method"]) == set(SETS) - {INDEPENDENT, RANDOM}
    assert found["fact"].nunique() == 10


def test_independent_neurons_are_the_stage_s_where_all_languages_are_sources(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    """And they see no other language: its scores may be anything."""
    _, scores = tables
    own = chosen_cases(planted_model, tables[0]).edited
    rule = RULE.model_copy(update={"k": 6})
    two = {code: scores[code] for code in ("xa", "xb")}
    recalled = {code: tables[0].prompts[code] for code in two}
    source = dict.fromkeys(two, planted_scores.source())
    build.build(build.Inputs(two, recalled, source), tmp_path / "stage", rule, seed=0)
    table = store.read_table(tmp_path / "stage" / "sets.parquet")
    expected = {f: rows["neuron"].tolist() for f, rows in table.groupby("fact")}
    found = independent_neurons({**two, "xc": scores["xc"].iloc[:0]}, own, rule)
    assert {fact: neurons.tolist() for fact, neurons in found.items()} == expected
    assert all(len(neurons) == 4 for neurons in found.values())  # its own and three decoys


def test_too_few_stored_neurons_are_an_error(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    with pytest.raises(ValueError, match=r"editing\.neurons is 99"):
        choose(planted_model, *tables, 99)


def _held(mine: np.ndarray, kept: list[Tensor]) -> Callable[..., Tensor]:
    def before(_module: object, args: tuple[Tensor, ...]) -> Tensor:
        x = args[0].clone()
        x[:, -1, torch.from_numpy(mine)] = 0
        x.requires_grad_()
        x.retain_grad()
        kept.append(x)
        return x

    return before


def slow_scores(lm: LanguageModel, prompt: str, answer: list[int], taken: np.ndarray) -> Tensor:
    """Value x gradient of log p(answer), with `taken` held at 0 at the answer position."""
    total = torch.zeros(lm.n_layers, lm.n_neurons)
    before = trees.query(lm, prompt, [(5,)]).prompt.before
    for t, token in enumerate(answer):
        ids = torch.tensor([[*before, *answer[:t]]])
        kept: list[Tensor] = []
        handles = []
        for layer, (module, _) in enumerate(site_modules(lm, "hidden")):
            mine = taken[taken // lm.n_neurons == layer] % lm.n_neurons

            handles.append(module.register_forward_pre_hook(_held(mine, kept)))
        with torch.enable_grad():
            lm.network(ids).logits[0, -1].log_softmax(-1)[token].backward()
        total += torch.stack([(x * x.grad)[0, -1].detach() for x in kept])
        for handle in handles:
            handle.remove()
    return total.flatten()


def test_the_second_step_sees_the_first_one_in_force(decoder: LanguageModel) -> None:
    """Chen et al.'s code undoes the first edit before the second: that gives another order."""
    table = letters(2).rename(columns={"measured": "fact"}).assign(correct=True)
    table = table.assign(fact="f", template=[0, 1], subject_start=0)
    held = table.iloc[:1].assign(template=99)
    table = table.assign(template_role="select")
    both = Tables({"xx": table, "yy": table}, {"xx": held, "yy": held})
    case = Case("f", "r", ("xx", "yy"), (), "o")
    stored = arm_sets.SetInputs(both, {}, {}, "log_probability", RULE, specific={})

    def order(taken: np.ndarray) -> np.ndarray:
        return arm_sets._rescored(decoder, stored, [case], 1, {"f": taken})["f"]

    nobody = np.empty(0, dtype=np.int64)
    taken = order(nobody)[:8]
    tokens = CandidateTokens(decoder)
    answer = list(tokens.answers("a", " ", ["k l"])[0])
    for some in (nobody, taken):
        scores = [slow_scores(decoder, p, answer, some) for p in table["prompt"]]
        expected = torch.stack([s / s.max() for s in scores]).sum(0)
        best = expected.argsort(descending=True)[:10].numpy()
        np.testing.assert_array_equal(order(some)[:10], best)
    rest = [i for i in order(nobody).tolist() if i not in taken]
    assert order(taken)[:4].tolist() != rest[:4]  # in this model the first edit changes the choice


def test_sequential_takes_its_second_half_from_the_new_scores(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    """First half: the first language's best; second half: the fact's unit, which still works."""
    for own in choose(planted_model, *tables, 2):
        if own.method == SEQUENTIAL:
            assert own.neurons[0] == unit("language:xa:1")[0]
            assert own.neurons[1] == unit(f"fact:{own.fact}")[0]


def test_sources_are_the_first_languages_and_others_were_used_by_no_arm(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    for case in cases(planted_model, tables[0]):
        assert case.sources == ("xa", "xb")
        assert case.others == ("xc",)
        assert case.new.startswith(case.relation)
        assert case.new != planted.answer(*case.fact.split(":"))
    few = cases(planted_model, tables[0], max_facts=1)
    assert [c.relation for c in few] == sorted(planted.RELATIONS)


def test_facts_known_in_too_few_languages_are_left_out(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    whole = tables[0]
    before = {case.fact for case in cases(planted_model, whole)}
    gone = min(before)
    there = whole.held["xc"]
    lost = {**whole.held, "xc": there[there["fact"] != gone]}
    found = cases(planted_model, Tables(whole.prompts, lost))
    assert {case.fact for case in found} >= before - {gone}
    assert gone not in {case.fact for case in found}
    assert len(found) == len(before)  # another one takes its place


def test_a_new_object_begins_with_another_token(decoder: LanguageModel) -> None:
    table = letters(1).rename(columns={"measured": "fact"}).assign(correct=True)
    table["candidates"] = [["o", "x", "y"]]
    table["candidate_labels"] = [["k l", "k m", "n"]]
    tables = {name: table.assign(language=name) for name in ("xx", "yy", "zz")}
    stored = {name: set[str]() for name in tables}
    for given in ({}, {"f": "y"}, {"f": "x"}, {"f": "elsewhere"}):
        both = Tables(tables, tables, {str(table["fact"].iloc[0]): one for one in given.values()})
        found = plan.choose_cases(both, CandidateTokens(decoder), HOW, stored=stored, seed=0)
        (case,) = found.edited
        assert case.new == "y"  # x shares its first token with the right answer
        assert case.given == (given == {"f": "y"})


def test_facts_whose_scores_are_stored_come_first(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    none = {code: set[str]() for code in planted.LANGUAGES}
    plain = chosen_cases(planted_model, tables[0], max_facts=1, stored=none)
    held = tables[0].held["xa"]
    some = {str(held[held["relation"] == r]["fact"].iloc[-1]) for r in ("alpha", "beta")}
    assert not some & {case.fact for case in plain.edited}
    stored = dict.fromkeys(planted.LANGUAGES, some)
    found = chosen_cases(planted_model, tables[0], max_facts=1, stored=stored)
    assert {c.fact for c in found.edited[:2]} == some
    assert found.edited[2:] == plain.edited[2:]
    assert not {c.fact for c in found.edited} & {c.fact for c in found.development}
    assert len({c.relation for c in found.development}) == HOW.baselines.n_facts


def test_a_language_without_facts_gives_no_rows_and_no_error(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    recalled = {code: tables[0].prompts[code].drop(columns="language") for code in ("xa", "xb")}
    unknown = recalled["xa"].assign(known=False, correct=False)
    whole = plan.read_tables({**recalled, "xe": unknown})
    assert whole.prompts["xe"].empty
    assert whole.held["xe"].empty
    stored = {code: set[str]() for code in whole.prompts}
    none = chosen_cases(planted_model, whole, stored=stored)
    assert none.edited == []
    assert none.development
    third = plan.read_tables({**recalled, "xe": unknown, "xc": tables[0].prompts["xc"]})
    found = chosen_cases(planted_model, third, stored=stored | {"xc": set()}).edited
    assert {(case.sources, case.others) for case in found} == {(("xa", "xb"), ("xc",))}


def test_prompts_that_fit_are_not_those_that_measure(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    chosen = cases(planted_model, tables[0])
    rows = asked(tables[0], chosen, n_unrelated=3, seed=0)
    inside = rows[rows["where"] != TEXT]
    assert not inside.duplicated(["fact", "language", "measured", "template"]).any()
    relation = rows["fact"].str.split(":").str[0]
    far, near = rows["where"] == LOCALITY, rows["where"] == NEIGHBOUR
    assert (rows.loc[far, "relation"] != relation[far]).all()
    assert (rows.loc[near, "relation"] == relation[near]).all()
    assert (rows.loc[near, "measured"] != rows.loc[near, "fact"]).all()
    own = rows["where"].isin(OF_THE_FACT)
    assert (rows.loc[own, "measured"] == rows.loc[own, "fact"]).all()
    assert set(rows.loc[far, "language"]) == {"xa", "xc"}
    assert (rows.loc[rows["where"] == TEXT, "text"].str.split().str.len() == 4).all()
    for case in chosen:
        fitted = plan.fitted(tables[0], case)
        seen = set(zip(fitted["language"], fitted["template"], strict=True))
        assert len(seen) == 4
        mine = rows[rows["fact"] == case.fact]
        places = {
            where: set(zip(part["language"], part["template"], strict=True))
            for where, part in mine[mine["where"].isin(OF_THE_FACT)].groupby("where")
        }
        assert places[RELIABILITY] == {one for one in seen if one[0] == "xa"}
        assert places[MORE_PARAPHRASES] == {("xa", planted.N_PARAPHRASES - 1)}
        assert not places[GENERALITY] & seen
        assert {code for code, _ in places[OTHER_SOURCES]} == {"xb"}
        assert len(places[OTHER_SOURCES]) == planted.N_PARAPHRASES
        assert {code for code, _ in places[PORTABILITY] | places[PORTABILITY_MORE]} == {"xc"}
        assert len(places[PORTABILITY]) == 1
        assert len(places[PORTABILITY_MORE]) == planted.N_PARAPHRASES - 1
        assert set(IN_ALL_ARMS) <= set(mine["where"])


def test_operations_count_every_set(planted_model: LanguageModel) -> None:
    sets = [NeuronSet(fact, "r", "m", unit("shared")) for fact in ("f", "g")]
    chosen = suppress_enhance.both_operations(planted_model, sets).edits.chosen
    assert chosen.flatten(1).sum(1).tolist() == [1] * 4
    assert suppress_enhance.sets_of_facts(sets, ["f", "h"]) == [0]


def test_a_language_without_an_unrelated_fact_is_passed_over(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    """Its only other fact has the same subject, or the same answer."""
    chosen = cases(planted_model, tables[0])
    case = chosen[0]
    held = tables[0].held["xc"]
    own = held[held["fact"] == case.fact]
    twin = held[held["relation"] != case.relation].iloc[:1].assign(subject=own["subject"].iloc[0])
    few = plan.Tables(
        tables[0].prompts, {**tables[0].held, "xc": pd.concat([own, twin])}, tables[0].given
    )
    rows = asked(few, [case], n_unrelated=3, seed=0)
    assert set(rows.loc[rows["where"] == LOCALITY, "language"]) == {"xa"}


def test_what_tests_an_edit_estimates_no_covariance(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    chosen = cases(planted_model, tables[0])
    rows = asked(tables[0], chosen, n_unrelated=3, seed=0)
    tests = rows[(rows["where"] != RELIABILITY) & (rows["language"] == "xa")]
    prompts = tables[0].prompts["xa"]
    rest = untested(prompts, tests)
    used = set(zip(tests["measured"], tests["template"], strict=True))
    left = set(zip(rest["fact"], rest["template"], strict=True))
    assert used
    assert left
    assert not used & left
    assert len(left) == len(prompts) - len(used)
    assert untested(prompts, prompts.assign(measured=prompts["fact"])).equals(prompts)


def test_layers_are_tried_on_facts_with_a_held_or_an_unrelated_prompt(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    chosen = cases(planted_model, tables[0])
    rows = asked(tables[0], chosen, n_unrelated=3, seed=0)
    bare = ~rows["where"].isin((GENERALITY, LOCALITY)) | (rows["fact"] != chosen[0].fact)
    questions = Questions(planted_model, tables[0], rows[bare], CandidateTokens(planted_model))
    assert measurable(questions, chosen) == chosen[1:]
