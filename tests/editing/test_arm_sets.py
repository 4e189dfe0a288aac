"""Arms of an editing experiment: equal sizes, the same facts, and a true second step."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import planted
import planted_scores
from neuron_atlas.editing import arm_sets, plan
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.settings import Descent, EditingPlan
from neuron_atlas.editing.tables import ARMS, INDEPENDENT, JOINT, MONOLINGUAL, SEQUENTIAL
from neuron_atlas.interventions import neuron_sets, suppress_enhance
from neuron_atlas.interventions.neuron_sets import RANDOM, NeuronSet
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.scoring import trees
from neuron_atlas.scoring.candidates import CandidateTokens
from planted_scores import unit
from references import letters

HOW = EditingPlan(
    n_sources=2,
    max_facts=9,
    neurons=2,
    n_unrelated=2,
    n_draws=3,
    descent=Descent(steps=12, rate=0.4, margin=3.0, max_norm=3.0),
)


def test_shared_ranks_by_hand() -> None:
    """Ranks (1, 3), (2, 2), (3, absent: 4), (absent: 4, 1): products 3, 4, 12, 4."""
    first, second = np.array([10, 20, 30]), np.array([40, 20, 10])
    assert arm_sets.by_shared_rank([first, second]).tolist() == [10, 20, 40, 30]
    assert arm_sets.by_shared_rank([first, first]).tolist() == first.tolist()


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
    return plan.read_tables(recalled, scores), scores


def cases(lm: LanguageModel, tables: Tables, *, max_facts: int = 9) -> list[Case]:
    return plan.cases(tables, CandidateTokens(lm), n_sources=2, max_facts=max_facts, seed=0)


def choose(
    lm: LanguageModel, tables: Tables, scores: dict[str, pd.DataFrame], m: int
) -> list[NeuronSet]:
    sizes = dict.fromkeys(planted.LANGUAGES, planted_scores.source())
    stored = arm_sets.SetInputs(tables, scores, sizes, target="log_probability")
    how = HOW.model_copy(update={"neurons": m})
    return arm_sets.choose_sets(lm, stored, cases(lm, tables), how, seed=0)


def test_every_arm_has_the_same_facts_and_as_many_neurons(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    found = choose(planted_model, *tables, 3)
    table = neuron_sets.describe(found)
    assert set(table["method"]) == set(ARMS)
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
        elif own.method == MONOLINGUAL:
            assert own.neurons[0] == language[0]
            assert fact not in own.neurons
        elif own.method == JOINT:
            np.testing.assert_array_equal(own.neurons, language)


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
    both = Tables({"xx": table, "yy": table}, {"xx": held, "yy": held})
    case = Case("f", "r", ("xx", "yy"), (), "o")
    stored = arm_sets.SetInputs(both, scores={}, sizes={}, target="log_probability")

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
    lost = {**whole.held, "xc": whole.held["xc"].iloc[1:]}
    found = cases(planted_model, Tables(whole.prompts, lost))
    assert len(found) == len(cases(planted_model, whole)) - 1


def test_a_new_object_begins_with_another_token(decoder: LanguageModel) -> None:
    table = letters(1).rename(columns={"measured": "fact"}).assign(correct=True)
    table["candidates"] = [["o", "x", "y"]]
    table["candidate_labels"] = [["k l", "k m", "n"]]
    tables = {name: table.assign(language=name) for name in ("xx", "yy", "zz")}
    found = plan.cases(
        Tables(tables, tables), CandidateTokens(decoder), n_sources=2, max_facts=1, seed=0
    )
    assert [case.new for case in found] == ["y"]  # x shares its first token with the right answer


def test_prompts_that_fit_are_not_those_that_measure(
    planted_model: LanguageModel, tables: tuple[Tables, dict[str, pd.DataFrame]]
) -> None:
    chosen = cases(planted_model, tables[0])
    asked = plan.asked(tables[0], chosen, n_unrelated=3, seed=0)
    assert not asked.duplicated(["fact", "language", "measured", "template"]).any()
    relation = asked["fact"].str.split(":").str[0]
    far = asked["where"] == "unrelated"
    assert (asked.loc[far, "relation"] != relation[far]).all()
    assert (asked.loc[~far, "measured"] == asked.loc[~far, "fact"]).all()
    assert set(asked.loc[far, "language"]) == {"xa", "xc"}
    for case in chosen:
        fitted = plan.fitted(tables[0], case)
        mine = asked[asked["fact"] == case.fact].set_index("where")
        seen = set(zip(fitted["language"], fitted["template"], strict=True))
        assert len(seen) == 4
        assert (mine.at["same_language", "language"], mine.at["same_language", "template"]) in seen
        assert (mine.at["paraphrase", "language"], mine.at["paraphrase", "template"]) not in seen
        assert mine.at["other_languages", "language"] == "xc"


def test_operations_count_every_set(planted_model: LanguageModel) -> None:
    sets = [NeuronSet(fact, "r", "m", unit("shared")) for fact in ("f", "g")]
    chosen = suppress_enhance.both_operations(planted_model, sets).edits.chosen
    assert chosen.flatten(1).sum(1).tolist() == [1] * 4
    assert suppress_enhance.sets_of_facts(sets, ["f", "h"]) == [0]
