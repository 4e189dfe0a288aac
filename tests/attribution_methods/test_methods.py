"""Every method equals a slow, obvious computation by whole forward passes."""

import pytest
import torch
from torch import Tensor

import planted
import tiny
from attribution_cases import (
    QUESTION,
    STEPS,
    asked_points,
    case,
    every_word,
    hooked,
    occluded,
    own,
    plan,
    slope,
    without,
)
from neuron_atlas.attribution_methods import costs, methods
from neuron_atlas.attribution_methods.case import Case, case_of
from neuron_atlas.attribution_methods.methods import METHODS, OWN
from neuron_atlas.attribution_methods.sample import best
from neuron_atlas.attributions.questions import Point, Question, question_of
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.neurons.addresses import to_flat
from neuron_atlas.pipeline.store import records
from neuron_atlas.scoring.candidates import CandidateTokens

NEAR = 1e-5  # of the largest score


@pytest.fixture(scope="module", params=["llama", "bert", "gpt2", "gemma3_text"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


@pytest.fixture(scope="module")
def asked(lm: LanguageModel) -> Case:
    return case(lm)


def alike(found: Tensor, expected: Tensor) -> None:
    largest = float(expected.abs().max())
    assert largest > 1e-3
    assert float((found - expected).abs().max()) <= NEAR * max(1.0, largest)


def along_paths(lm: LanguageModel, *, published: bool) -> Tensor:
    """Equation 2 of Chen et al., or their equation 4, one node and one forward at a time."""
    rule, total = plan().quadrature, torch.zeros(lm.n_layers, lm.n_neurons)
    for point in asked_points(lm):
        end = own(lm, point.ids, point.position)
        for start in occluded(lm, point):
            for layer, (w, low) in enumerate(zip(end, start, strict=True)):
                factor = w if published else w - low
                for node, weight in rule:
                    total[layer] += (
                        weight * factor * slope(lm, point, layer, low + node * (w - low))
                    )
    return total


def test_amig_is_the_integral_along_every_word_s_path(lm: LanguageModel, asked: Case) -> None:
    alike(METHODS["amig"](asked).scores, along_paths(lm, published=False))


def test_published_amig_is_its_formula(lm: LanguageModel, asked: Case) -> None:
    expected = along_paths(lm, published=True)
    alike(METHODS["amig_published"](asked).scores, expected)
    assert (expected - METHODS["amig"](asked).scores).abs().max() > 0.01  # the prefactor matters


def test_zero_ig_starts_at_zero(lm: LanguageModel, asked: Case) -> None:
    expected = torch.zeros(lm.n_layers, lm.n_neurons)
    for point in asked_points(lm):
        for layer, w in enumerate(own(lm, point.ids, point.position)):
            for node, weight in plan().zero_quadrature:
                expected[layer] += weight * w * slope(lm, point, layer, node * w)
    alike(METHODS["zero_ig"](asked).scores, expected)


def test_gradients_are_those_of_whole_passes(lm: LanguageModel, asked: Case) -> None:
    values = [own(lm, p.ids, p.position) for p in asked_points(lm)]
    slopes = [
        torch.stack([slope(lm, p, i, w) for i, w in enumerate(end)])
        for p, end in zip(asked_points(lm), values, strict=True)
    ]
    both = list(zip(values, slopes, strict=True))
    alike(METHODS["gradient_activation"](asked).scores, sum(w * s for w, s in both))
    patched = sum((w - asked.others) * s for w, s in both)
    alike(METHODS["attribution_patching"](asked).scores, patched)
    alike(METHODS["activation"](asked).scores, torch.stack(values).abs().mean(0))


def between(lm: LanguageModel, point: Point) -> Tensor:
    """Mean gradient at interpolated embeddings, one whole pass for each."""
    embedding = lm.network.get_input_embeddings()
    low, high = (
        embedding(torch.tensor([ids])) for ids in (without(lm, point, every_word(lm)), [*point.ids])
    )
    total = torch.zeros(lm.n_layers, lm.n_neurons)
    for k in range(1, STEPS + 1):
        inputs = (low + k / STEPS * (high - low)).requires_grad_()
        seen: dict[int, Tensor] = {}

        def watch(layer: int, seen: dict[int, Tensor] = seen) -> hooks.Change:
            def change(x: Tensor) -> Tensor:
                seen[layer] = x
                return x

            return change

        changes = {layer: watch(layer) for layer in range(lm.n_layers)}
        with hooks.edit(site_modules(lm, "hidden"), changes), torch.enable_grad():
            logits = lm.network(inputs_embeds=inputs).logits[0, point.position]
            found = torch.autograd.grad(
                logits.log_softmax(-1)[point.token], [seen[i] for i in range(lm.n_layers)]
            )
        total += torch.stack([one[0, point.position] for one in found]) / STEPS
    return total


def test_eap_ig_is_a_loop_over_inputs(lm: LanguageModel, asked: Case) -> None:
    expected = torch.zeros(lm.n_layers, lm.n_neurons)
    for point in asked_points(lm):
        high = own(lm, point.ids, point.position)
        low = own(lm, without(lm, point, every_word(lm)), point.position)
        expected += (high - low) * between(lm, point)
    alike(METHODS["eap_ig_inputs"](asked).scores, expected)


def test_random_is_the_same_again_and_another_for_another_fact(asked: Case) -> None:
    first, again = (METHODS["random"](asked).scores for _ in range(2))
    assert torch.equal(first, again)
    other = case_of(
        asked.lm,
        QUESTION,
        asked.plan,
        others=asked.others,
        path_mean=None,
        name=("xx", "r:t"),
        seed=0,
        input_steps=1,
    )
    assert not torch.equal(first, METHODS["random"](other).scores)


def test_what_promises_a_sum_says_by_how_much_it_misses_it(asked: Case) -> None:
    errors = {
        n: run(asked).error for n, run in METHODS.items() if n not in methods.absent(asked.lm)
    }
    known = {name for name, error in errors.items() if error == error}
    assert known == {"amig", "zero_ig", "relp"} & set(errors)
    fine = case(asked.lm, plan(steps=16))
    assert METHODS["amig"](fine).error < errors["amig"]
    if "relp" in errors:
        assert errors["relp"] < 1e-4  # the tiny models have no biases but 0


def test_a_method_without_a_definition_is_absent_with_its_reason(lm: LanguageModel) -> None:
    reasons = methods.absent(lm)
    assert set(reasons) == ({"relp"} if lm.architecture.encoder else set())
    if reasons:
        assert "no rules of relevance propagation for 'bert'" in reasons["relp"]
        with pytest.raises(ValueError, match="relevance patching: no rules"):
            METHODS["relp"](case(lm))
    assert set(OWN) == set(METHODS)


def test_no_hook_is_left_behind_after_an_error(lm: LanguageModel) -> None:
    wrong = Question("a b", (len(tiny.WORDS) + 5,), query=(0, 3))
    given = case(lm, question=wrong)
    for name in set(METHODS) - {"activation", "random"} - set(methods.absent(lm)):
        with pytest.raises((IndexError, RuntimeError)):
            METHODS[name](given)
    assert not hooked(lm)


def test_costs_are_counted(asked: Case) -> None:
    found = costs.passes(asked)
    assert set(found) == set(METHODS)
    n, layers = len(asked.low["path"][0]), asked.lm.n_layers
    assert found["gradient_activation"] == (1, 1)
    assert found["amig"] == (1 + n + n * layers * 2, n * layers * 2 + 1)  # Radau: one node is free
    assert found["zero_ig"] == (1 + layers * 2, layers * 2)
    assert found["eap_ig_inputs"] == (2 + STEPS, STEPS)


@pytest.fixture(scope="module")
def planted_case() -> tuple[Case, int]:
    lm = planted.model()
    lm.network.config.eos_token_id = 0  # a word of which the planted units know nothing
    table = planted.fact_table("xa")
    row = records(table[table["relation"] == "alpha"])[0]
    right = [c == row["objects"][0] for c in row["candidates"]]
    question = question_of(CandidateTokens(lm), row, answer=right.index(True))
    unit = to_flat([planted.NEURONS[f"fact:{row['fact']}"]], planted.N_NEURONS)
    nothing = torch.zeros(lm.n_layers, lm.n_neurons)
    found = case_of(
        lm,
        question,
        plan(target="candidates"),
        others=nothing,
        path_mean=None,
        name=("xa", row["fact"]),
        seed=0,
        input_steps=5,
    )
    return found, int(unit[0])


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random"}))
def test_a_planted_neuron_comes_first(planted_case: tuple[Case, int], name: str) -> None:
    given, unit = planted_case
    scores = METHODS[name](given).scores.flatten().numpy().astype("float64")
    assert best(scores, 1).tolist() == [unit]


def test_a_planted_neuron_is_not_first_at_random(planted_case: tuple[Case, int]) -> None:
    given, unit = planted_case
    assert best(METHODS["random"](given).scores.flatten().double().numpy(), 1).tolist() != [unit]
