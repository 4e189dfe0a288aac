"""Packed scoring equals one plain forward pass per answer."""

import numpy as np
import pytest

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring import log_probability
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
