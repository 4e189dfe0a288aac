"""Candidates that cannot be among the best are not scored to their end; the others are, exactly."""

import itertools

import numpy as np
import pytest

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.recall.answers import judge
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query, query
from rounding import rounding

PROMPTS = ["a b c d", "a b c e f", "a b c d g", "h i"]
LETTERS = range(5, 11)
ANSWERS = [
    *((a,) for a in LETTERS),
    *itertools.product(LETTERS, range(11, 14)),
    *itertools.product(LETTERS, (14, 15), (16, 17)),
]


def asked(lm: LanguageModel) -> list[Query]:
    return [query(lm, prompt, ANSWERS) for prompt in PROMPTS]


@pytest.mark.parametrize("exact", [1, 6, 20])
def test_the_best_are_exact_and_the_rest_are_bounded(decoder: LanguageModel, exact: int) -> None:
    queries, rng = asked(decoder), np.random.default_rng(exact)
    whole = [values[0] for values in log_probabilities(decoder, queries)]
    near = rounding(np.concatenate(whole), tiny.DEPTH)
    right = [np.isin(np.arange(len(ANSWERS)), rng.choice(len(ANSWERS), 2)) for _ in queries]
    found = score_contenders(decoder, queries, right, exact=exact, sequence=12)
    for values, one, ok in zip(whole, found, right, strict=True):
        np.testing.assert_allclose(one.values[one.complete], values[one.complete], atol=near)
        assert (one.values >= values - near).all()
        assert one.complete[np.argsort(-values)[:exact]].all()
        assert judge(one.values, ok).rank == judge(values, ok).rank
        assert judge(one.values, ok).predicted == judge(values, ok).predicted
        best = np.where(ok, values, -np.inf).argmax()
        assert one.complete[best]
        assert np.where(ok, one.values, -np.inf).argmax() == best
    if exact == 1:  # positive control: work is saved
        assert not all(one.complete.all() for one in found)


def test_all_are_complete_where_a_beginning_bounds_nothing() -> None:
    encoder = tiny.random_model("bert")
    queries = asked(encoder)
    right = [np.arange(len(ANSWERS)) == 0] * len(queries)
    whole = [values[0] for values in log_probabilities(encoder, queries)]
    for values, one in zip(whole, score_contenders(encoder, queries, right, exact=1), strict=True):
        assert one.complete.all()
        np.testing.assert_array_equal(one.values, values)


def test_without_a_limit_all_are_complete(decoder: LanguageModel) -> None:
    queries = asked(decoder)[:1]
    one = score_contenders(decoder, queries, [np.arange(len(ANSWERS)) == 0], exact=None)[0]
    assert one.complete.all()
