"""Relevance rules do what a forward pass with explicit constants does, and leave no trace."""

import copy
from typing import Any

import pytest
import torch
import transformers as tr
from torch import nn

import plain_relevance
import tiny
from attribution_cases import asked_points, case, hooked, plan
from neuron_atlas.attribution_methods import relevance
from neuron_atlas.attribution_methods.methods import METHODS
from neuron_atlas.attribution_methods.single_ablations import drops
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from rounding import rounding

BIG = 2.0**40


@pytest.fixture(scope="module", params=sorted(relevance.PLACES))
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return biased(tiny.random_model(request.param))


def biased(lm: LanguageModel) -> LanguageModel:
    """Give the biases and the norms' weights, which are 0 and 1 at first, random values."""
    numbers = torch.Generator().manual_seed(7)
    for name, parameter in lm.network.named_parameters():
        if name.endswith("bias") or "norm" in name or ".ln_" in name:
            parameter += 0.3 * torch.randn(parameter.shape, generator=numbers)
    return lm


WITHOUT = {"bloom", "falcon", "gpt_neo", "opt", "phi3", "xglm"}  # nobody has written theirs yet


def test_every_decoder_has_rules_or_is_known_to_have_none() -> None:
    decoders = {name for name, row in ARCHITECTURES.items() if not row.encoder}
    assert set(relevance.PLACES) == decoders - WITHOUT
    for family in WITHOUT:
        assert f"for {family!r}" in str(relevance.undefined(tiny.random_model(family)))


def test_coefficients_are_those_of_a_forward_pass_in_plain_tensors(lm: LanguageModel) -> None:
    given = case(lm)
    found = relevance.coefficients(given.clean, "log_probability")
    for i, point in enumerate(asked_points(lm)):
        value, expected = plain_relevance.coefficients(lm, point)
        assert float(given.value[i]) == pytest.approx(float(value), abs=rounding(10, tiny.DEPTH))
        largest = float(expected.abs().max())
        assert largest > 1e-3
        assert float((found[i] - expected).abs().max()) <= 1e-5 * max(1, largest)
        gradient = given.clean.gradient("log_probability")[1][i]
        assert float((gradient - expected).abs().max()) > 0.05 * largest  # the rules were at work


def test_values_stay_as_they_are_to_the_last_bit(lm: LanguageModel) -> None:
    ids = torch.tensor([asked_points(lm)[0].ids])
    plain = lm.network(ids).logits
    with relevance.relevance_rules(lm):
        assert torch.equal(lm.network(ids).logits, plain)


def test_relevance_is_conserved_where_nothing_is_added(lm: LanguageModel) -> None:
    """A bias takes its share: some is lost where there are any, elsewhere none."""
    error = relevance.conservation_error(case(lm).clean, "log_probability")
    bare = not any(name.endswith("bias") for name, _ in lm.network.named_parameters())
    assert error < 1e-4 if bare else error > 1e-3
    unbiased = tiny.random_model(lm.network.config.model_type)
    assert relevance.conservation_error(case(unbiased).clean, "log_probability") < 1e-4


def broken_off(lm: LanguageModel) -> None:
    with relevance.relevance_rules(lm):
        assert hooked(lm)
        raise RuntimeError("on purpose")


def test_hooks_are_gone_after_an_exception(lm: LanguageModel) -> None:
    before = case(lm).clean.gradient("log_probability")[1]
    with pytest.raises(RuntimeError, match="on purpose"):
        broken_off(lm)
    assert not hooked(lm)
    assert torch.equal(case(lm).clean.gradient("log_probability")[1], before)


def test_a_run_that_breaks_off_in_a_norm_leaves_nothing_for_the_next(lm: LanguageModel) -> None:
    point = asked_points(lm)[0]
    norm: Any = lm.ending[0]
    with relevance.relevance_rules(lm):
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            norm(torch.ones(1, 2, 3))
        lm.network(torch.tensor([point.ids]))
    assert not hooked(lm)


def test_a_family_without_rules_is_refused_by_name() -> None:
    bert = tiny.random_model("bert")
    with pytest.raises(ValueError, match="no rules of relevance propagation for 'bert'; there are"):
        relevance.coefficients(case(bert).clean, "log_probability")
    assert not hooked(bert)


class UnknownNorm(nn.Identity):
    """A norm by its name alone."""


def test_a_norm_of_an_unknown_kind_is_refused() -> None:
    lm = tiny.random_model("llama")
    lm.blocks[0].input_layernorm = UnknownNorm()
    with pytest.raises(ValueError, match="no rule for the norm UnknownNorm"):
        relevance.coefficients(case(lm).clean, "log_probability")
    assert not hooked(lm)


def linear_model() -> LanguageModel:
    """A GPT-2 without anything nonlinear: norms, activation, pattern; its logits are small."""
    small: dict[str, Any] = copy.deepcopy(tiny.GPT2)
    config = tr.GPT2Config(
        vocab_size=len(tiny.WORDS),
        bos_token_id=tiny.BOS,
        eos_token_id=tiny.EOS,
        initializer_range=0.3,
        activation_function="linear",
        layer_norm_epsilon=BIG,
        **small,
    )
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = tr.GPT2LMHeadModel(config)
    network = network.eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if ".ln_" in name and name.endswith("weight"):
            parameter.fill_(BIG**0.5 * (1e-3 if "ln_f" in name else 1))
        if "c_attn" in name:
            parameter[..., : 2 * config.n_embd] = 0  # every token is seen alike
    return LanguageModel(network, tiny.tokenizer(), architecture("gpt2"))


def test_on_a_linear_model_coefficients_are_gradients_and_exact() -> None:
    """To the first order of its small logits, which is all that the softmax leaves open."""
    lm = linear_model()
    given = case(lm, plan(), Question("a b c d", (9,), query=(0, 7)))
    object.__setattr__(given, "others", torch.zeros(lm.n_layers, lm.n_neurons))
    relp = METHODS["relp"](given).scores
    slope = METHODS["gradient_activation"](given).scores
    torch.testing.assert_close(relp, slope, rtol=1e-5, atol=1e-7)
    every = torch.arange(lm.n_layers * lm.n_neurons).numpy()
    exact = drops(given, every)["zero"].view_as(relp)
    assert float(exact.abs().max()) > 2e-4
    assert float((relp - exact).abs().max()) < 1e-5
