"""Value vectors at the head: by hand, and against the derivative of the model's own modules."""

import copy
from typing import cast

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

import planted
import tiny
from neuron_atlas.attributions.clean_pass import clean_passes
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation
from neuron_atlas.value_vectors import at_head
from neuron_atlas.value_vectors.at_head import ValueVectors
from rounding import rounding

PROMPTS = ("a b c", "d e f g")


def questions(lm: LanguageModel) -> list[Question]:
    return [Question(p, continuation(lm, p, " x"), query=(0, len(p))) for p in PROMPTS]


def vectors(lm: LanguageModel) -> ValueVectors:
    return ValueVectors(lm, "hidden", questions(lm))


def derivative(module: nn.Module, at: Tensor, along: Tensor) -> Tensor:
    """Derivative of a module at a point along some vectors."""
    point = at.expand(len(along), -1)
    found: Tensor = torch.func.jvp(module, (point.contiguous(),), (along,))[1]
    return found.detach()


def random(*shape: int, seed: int = 0) -> Float[Tensor, "row d_model"]:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def norms(lm: LanguageModel) -> list[nn.Module]:
    """All norms through which value vectors may go."""
    row, block = lm.architecture, lm.blocks[0]
    paths = [path for path in (row.down_norm, row.sum_norm) if path is not None]
    found = [block.get_submodule(path) for path in paths]
    return [*found, *(step for step in lm.ending if not isinstance(step, nn.Linear))]


def test_behind_a_norm_a_vector_is_its_derivative_but_for_the_direction_of_the_stream(
    lm: LanguageModel,
) -> None:
    """It is s J v + c (norm(x) - bias) with s > 0, on which no order of tokens depends."""
    for norm in map(copy.deepcopy, norms(lm)):
        for seed, parameter in enumerate(norm.parameters()):
            parameter.data.copy_(1 + 0.3 * random(1, len(parameter), seed=seed)[0])
        width = lm.d_model
        at, along = random(1, width), random(4, width, seed=1)
        exact = derivative(norm, at, along)
        bias = getattr(norm, "bias", None)
        own = norm(at) - (0 if bias is None else bias)
        found = at_head.through_norm(norm, along)
        for mine, other in zip(found, exact, strict=True):
            basis = torch.stack([other, own[0]], 1)
            factors = torch.linalg.lstsq(basis, mine).solution
            assert factors[0] > 0
            near = rounding(mine, 10 * width)  # a least-squares fit on the way
            torch.testing.assert_close(basis @ factors, mine, rtol=0, atol=near)


def test_columns_are_what_one_unit_writes(lm: LanguageModel) -> None:
    index = torch.tensor([2, 5, 11])
    for layer in range(lm.n_layers):
        down = vectors(lm).down(layer)
        units = torch.eye(lm.n_neurons)[index]
        written = down(units) - down(torch.zeros_like(units))
        found, near = vectors(lm).columns(layer, index), rounding(written, tiny.DEPTH)
        torch.testing.assert_close(found, written, rtol=0, atol=near)


def test_an_encoders_head_is_linearised_at_its_questions() -> None:
    lm = tiny.random_model("bert")
    own, along = vectors(lm), random(3, 16)
    points = torch.cat([clean.trace.output for clean in clean_passes(lm, questions(lm))])
    transform = lm.network.get_submodule("cls.predictions.transform")
    exact = torch.stack([derivative(transform, point[None], along) for point in points]).mean(0)
    torch.testing.assert_close(own.at_head(along), exact, rtol=0, atol=rounding(exact, tiny.DEPTH))


@pytest.mark.parametrize("name", ["electra", "opt, post-norm of 350m"])
def test_a_head_of_another_width_is_reached_by_its_projection(name: str) -> None:
    lm = tiny.random_model(name)
    own, along = vectors(lm), random(3, lm.d_model)
    found = own.at_head(along)
    assert found.shape == (3, lm.head.weight.shape[1]) == (3, lm.d_model // 2)
    if lm.architecture.transform:
        points = torch.cat([clean.trace.output for clean in clean_passes(lm, questions(lm))])
        generator = lm.network.get_submodule("generator_predictions")
        exact = torch.stack([derivative(generator, point[None], along) for point in points]).mean(0)
    else:
        (project,) = lm.ending
        exact = project(along)
    torch.testing.assert_close(found, exact, rtol=0, atol=rounding(exact, tiny.DEPTH))


@pytest.mark.parametrize("name", tiny.EVERY)
def test_neurons_of_every_family_write_to_the_head(name: str) -> None:
    lm = tiny.random_model(name)
    for site, n in (("hidden", lm.n_neurons), ("down", lm.d_model)):
        own = ValueVectors(lm, cast("Site", site), questions(lm))
        heads = own.of_neurons(1, torch.arange(n))
        logits = at_head.logits(heads, own.rows(torch.arange(own.n_tokens)))
        assert logits.shape == (n, own.n_tokens)
        assert logits.std() > 0.01


def test_an_encoder_needs_questions() -> None:
    lm = tiny.random_model("distilbert")
    with pytest.raises(ValueError, match="questions at which to linearise"):
        ValueVectors(lm, "hidden").at_head(torch.zeros(1, 16))


def test_a_raw_output_of_the_down_projection_writes_itself() -> None:
    lm = tiny.random_model("llama")
    found = ValueVectors(lm, "down").columns(0, torch.tensor([3]))
    assert found.tolist() == [[float(i == 3) for i in range(16)]]


def test_what_a_planted_fact_unit_writes_is_known_by_hand(planted_model: LanguageModel) -> None:
    own = ValueVectors(planted_model, "hidden")
    neuron = planted.NEURONS["fact:alpha:s3"]
    heads = own.of_neurons(neuron.layer, torch.tensor([neuron.index]))
    words = planted.vocabulary()
    found = at_head.logits(heads, own.rows(torch.arange(own.n_tokens)))[0]
    answers = [words[f"{code}_alpha_a3"] for code in planted.LANGUAGES]
    expected = np.zeros(len(words))
    expected[answers] = planted.GAIN
    assert found.tolist() == expected.tolist()


def test_the_vocabulary_in_parts_is_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny.random_model("llama", dtype=torch.bfloat16)
    own = vectors(lm)
    heads, rows = own.of_neurons(1, torch.arange(4)), own.rows(torch.arange(own.n_tokens))
    whole = heads @ rows.float().T
    monkeypatch.setattr(at_head, "CHUNK", 7)
    found, near = at_head.logits(heads, rows), rounding(whole.numpy(), tiny.DEPTH)
    torch.testing.assert_close(found, whole, rtol=0, atol=near)
    assert whole.dtype == torch.float32
