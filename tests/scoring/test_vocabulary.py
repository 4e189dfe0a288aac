"""Sums over the vocabulary in parts are those of whole rows of logits, in float64."""

import pytest
import torch
from torch import Tensor

from neuron_atlas.model.language_model import Head
from neuron_atlas.scoring import vocabulary

VOCABULARY, WIDTH = 2 * vocabulary.N_TOKENS + 77, 24
KINDS = {"plain": (False, None), "bias": (True, None), "softcap": (False, 5.0), "both": (True, 5.0)}


def head(kind: str, dtype: torch.dtype = torch.float32) -> Head:
    generator = torch.Generator().manual_seed(1)
    biased, softcap = KINDS[kind]
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator).to(dtype)
    bias = torch.randn(VOCABULARY, generator=generator).to(dtype) if biased else None
    return Head(weight, bias, softcap)


def vectors(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(n, WIDTH, generator=generator).to(dtype)
    return hidden, torch.randint(VOCABULARY, (n,), generator=generator)


def logits(head: Head, hidden: Tensor) -> Tensor:
    """Every logit, in float64."""
    found = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        found = found + head.bias.double()
    return found if head.softcap is None else head.softcap * torch.tanh(found / head.softcap)


def slow(head: Head, hidden: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities by log-softmax and their gradient by autograd, in float64."""
    leaf = hidden.double().requires_grad_()
    value = logits(head, leaf).log_softmax(1)[torch.arange(len(token)), token]
    value.sum().backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("n", [1, vocabulary.N_ROWS + 3])
def test_value_and_gradient_in_float32(kind: str, n: int) -> None:
    hidden, token = vectors(n)
    expected, slope = slow(head(kind), hidden, token)
    value, gradient = vocabulary.log_probability(head(kind), hidden, token, gradient=True)
    assert error(value, expected) < 1e-6
    assert error(gradient, slope) < 1e-5
    alone, nothing = vocabulary.log_probability(head(kind), hidden, token, gradient=False)
    assert torch.equal(alone, value)
    assert not nothing.any()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bfloat16_keeps_what_its_weights_hold(kind: str) -> None:
    hidden, token = vectors(9, torch.bfloat16)
    rounded = head(kind, torch.bfloat16)
    expected, slope = slow(rounded, hidden, token)
    value, gradient = vocabulary.log_probability(rounded, hidden, token, gradient=True)
    assert float((value.double() - expected).abs().max()) < 0.05
    assert error(gradient, slope) < 0.02


@pytest.mark.parametrize("kind", ["plain", "bias"])
@pytest.mark.parametrize("scale", [30.0, 300.0])
def test_answers_far_below_the_best(kind: str, scale: float) -> None:
    """Logits hundreds of nats apart are more than exponentials in float32 hold."""
    hidden, _ = vectors(5)
    hidden = hidden * scale
    token = logits(head(kind), hidden).argmin(1)
    expected, slope = slow(head(kind), hidden, token)
    assert float(expected.max()) < -100
    value, gradient = vocabulary.log_probability(head(kind), hidden, token, gradient=True)
    assert error(value, expected) < 1e-6
    assert error(gradient, slope) < 1e-5


def test_probabilities_near_one_keep_their_digits() -> None:
    """Where 1 is added before the logarithm is taken, log p = -1e-9 is 0, and so is its slope."""
    plain, token = head("plain"), torch.tensor([7])
    own = plain.weight[token]
    hidden = 70 * own / own.norm(dim=1, keepdim=True).square()
    odds = (logits(plain, hidden) - 70).exp().scatter(1, token[:, None], 0)
    expected, slope = -torch.log1p(odds.sum(1)), slow(plain, hidden, token)[1]
    assert (expected.abs() < 1e-3).all()
    value, gradient = vocabulary.log_probability(plain, hidden, token, gradient=True)
    assert error(value / expected, torch.ones(1).double()) < 1e-4
    assert error(gradient, slope) < 1e-4


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("guess", [0.0, 90.0, -90.0, 1000.0, -1000.0])
def test_any_guess_gives_the_normaliser(kind: str, guess: float) -> None:
    hidden, _ = vectors(vocabulary.N_ROWS + 1)
    expected = logits(head(kind), hidden).logsumexp(1)
    found = vocabulary.log_normaliser(head(kind), hidden, torch.full((len(hidden),), guess))
    assert error(found, expected) < 1e-5


def test_what_is_no_number_stays_none() -> None:
    hidden, token = vectors(3)
    hidden[1, 0] = torch.nan
    value, gradient = vocabulary.log_probability(head("plain"), hidden, token, gradient=True)
    normaliser = vocabulary.log_normaliser(head("plain"), hidden, torch.zeros(3))
    assert value.isnan().tolist() == normaliser.isnan().tolist() == [False, True, False]
    assert gradient.isnan().any(1).tolist() == [False, True, False]
