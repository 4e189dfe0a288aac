"""Answers that continue one another: their pairs, and what is left of the shorter ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring.beginnings import beginnings, without_continuations
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query, query
from rounding import EPSILON

KM, KMH, KMH2, M, KMS = (5,), (5, 6, 7), (5, 6, 7, 8), (9,), (5, 10)
CHAIN = [KM, KMH, KMH2, M, KMS]


def test_pairs_by_hand() -> None:
    assert sorted(beginnings(CHAIN)) == [(0, 1), (0, 4), (1, 2)]
    assert sorted(beginnings(CHAIN[::-1])) == [(3, 2), (4, 0), (4, 3)]
    assert sorted(beginnings([KM, KM, KMH, KMH])) == [(0, 2), (1, 2)]  # labels that look alike
    assert beginnings([KM, M, (6, 7)]) == []


def test_what_is_left_by_hand() -> None:
    p = np.array([0.5, 0.25, 0.0625, 0.125, 0.125])
    left = np.exp(without_continuations(np.log(p), CHAIN))
    np.testing.assert_allclose(left, [0.125, 0.1875, 0.0625, 0.125, 0.125])
    arms = np.log(np.stack([p, p / 2]))
    np.testing.assert_allclose(np.exp(without_continuations(arms, CHAIN)), [left, left / 2])


def test_a_bound_is_not_subtracted() -> None:
    p = np.array([0.5, 0.25, 0.25, 0.125, 0.125])
    known = np.array([True, False, False, True, True])
    left = np.exp(without_continuations(np.log(p), CHAIN, known))
    np.testing.assert_allclose(left, [0.375, 0.25, 0.25, 0.125, 0.125])


def test_rounding_leaves_a_finite_value() -> None:
    for long in (-1.0, -1.0 + 1e-12, -1.0 - 1e-12):
        left = without_continuations(np.array([-1.0, long]), [KM, KMS])
        assert left[0] == pytest.approx(-1 + np.log(EPSILON), abs=1e-3)
        assert left[1] == long


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=12))
def test_no_value_rises_and_pairs_are_of_next_continuations(found: list[list[int]]) -> None:
    texts = [tuple(t) for t in dict.fromkeys(map(tuple, found))]
    pairs = beginnings(texts)
    for i, j in itertools.permutations(range(len(texts)), 2):
        longer = len(texts[i]) < len(texts[j]) and texts[j][: len(texts[i])] == texts[i]
        between = any(
            len(texts[i]) < len(t) < len(texts[j])
            and (texts[j][: len(t)], t[: len(texts[i])]) == (t, texts[i])
            for t in texts
        )
        assert ((i, j) in pairs) == (longer and not between)
    values = np.array([-1.5 * len(t) for t in texts])  # every token has 0.22 of its beginning
    assert (without_continuations(values, texts) <= values).all()


def test_the_candidates_of_a_model_exclude_one_another(decoder: LanguageModel) -> None:
    """All texts of one token and of two: without subtraction they sum to more than 1."""
    v = range(len(tiny.WORDS))
    texts = [*((a,) for a in v), *itertools.product(v, v), *itertools.product(v, range(9, 12), v)]
    asked: Query = query(decoder, "a b c", texts)
    values = log_probabilities(decoder, [asked])[0][0]
    left = without_continuations(values, texts)
    assert np.exp(values).sum() > 1.5
    assert np.exp(left).sum() <= 1 + tiny.DEPTH * EPSILON * len(texts)
    some = without_continuations(values[:200], texts[:200])
    assert np.exp(some).sum() <= 1 + tiny.DEPTH * EPSILON * 200
