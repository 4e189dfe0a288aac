"""Packed scoring equals one plain forward pass per answer."""

import numpy as np
import pytest
import torch

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring import log_probability
from neuron_atlas.scoring.trees import Query
from references import plain, queries
from rounding import rounding


def test_packed_log_probabilities_equal_one_forward_an_answer(lm: LanguageModel) -> None:
    asked = queries(lm)
    found = log_probability.log_probabilities(lm, asked)
    for query, values in zip(asked, found, strict=True):
        expected = [plain(lm, query, a) for a in query.answers]
        np.testing.assert_allclose(values[0], expected, atol=rounding(expected, tiny.DEPTH))
        assert np.ptp(expected) > 0.1  # the answers do differ


@pytest.mark.parametrize("n_tokens", [1, 30, 4096])
def test_batch_size_does_not_matter(lm: LanguageModel, n_tokens: int) -> None:
    reference = log_probability.log_probabilities(lm, queries(lm))
    found = log_probability.log_probabilities(lm, queries(lm), n_tokens=n_tokens)
    for a, b in zip(reference, found, strict=True):
        np.testing.assert_allclose(a, b, atol=rounding(a, tiny.DEPTH))


def test_among_the_query_s_answers_the_head_is_not_needed(decoder: LanguageModel) -> None:
    """Each token's probability among those with which the answers go on, by a plain forward."""
    asked = queries(decoder)
    arms = [(-1,)] * len(asked)
    whole = log_probability.ask(decoder, asked, arms=arms)
    alone = log_probability.ask(decoder, asked, arms=arms, tolerance=None)
    for query, one, other in zip(asked, whole, alone, strict=True):
        expected = [given_type(decoder, query, answer) for answer in query.answers]
        near = rounding(one.values, tiny.DEPTH)
        np.testing.assert_allclose(one.given_type[0], expected, atol=near)
        np.testing.assert_array_equal(other.given_type, one.given_type)
        assert np.isnan(other.values).all()
        assert (one.given_type > one.values).all()


@torch.no_grad()
def given_type(lm: LanguageModel, query: Query, answer: tuple[int, ...]) -> float:
    ids = [*query.prompt.before, *answer]
    logits = lm.network(torch.tensor([ids])).logits[0].double()
    total = 0.0
    for t, token in enumerate(answer):
        next_ones = {a[t] for a in query.answers if len(a) > t and a[:t] == answer[:t]}
        here = logits[len(query.prompt.before) - 1 + t]
        total += float(here[token] - here[sorted(next_ones)].logsumexp(0))
    return total
