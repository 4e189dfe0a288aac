"""Candidates that cannot be among the best are not scored to their end; the others are, exactly."""

import itertools
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.recall.answers import judge
from neuron_atlas.scoring import contenders
from neuron_atlas.scoring.beginnings import beginnings, without_continuations
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
    *itertools.product((5, 6), (11,), (18, 19)),  # continue what continues the first ones
]


def asked(lm: LanguageModel) -> list[Query]:
    return [query(lm, prompt, ANSWERS) for prompt in PROMPTS]


@pytest.mark.parametrize("few", [0, 12, contenders.FEW, 1000])
@pytest.mark.parametrize("exact", [1, 6, 20])
def test_the_best_are_exact_and_the_rest_are_bounded(
    decoder: LanguageModel, exact: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "FEW", few)
    queries, rng = asked(decoder), np.random.default_rng(exact)
    raw = [values[0] for values in log_probabilities(decoder, queries)]
    whole = [without_continuations(values, ANSWERS) for values in raw]
    near = rounding(np.concatenate(raw), tiny.DEPTH)
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
    if exact == 1 and few < 1000:  # positive control: work is saved
        assert not all(one.complete.all() for one in found)
    assert np.abs(whole[0] - raw[0]).max() > 0.01  # and what continues an answer is taken from it


def test_an_answer_does_not_win_by_being_the_beginning_of_another(decoder: LanguageModel) -> None:
    """The likely continuation of the likeliest token takes nearly all of it, and wins."""
    prompt, first = PROMPTS[0], list(itertools.product(range(len(tiny.WORDS))))
    short = first[int(log_probabilities(decoder, [query(decoder, prompt, first)])[0][0].argmax())]
    longer = [short + then for then in first]
    values = log_probabilities(decoder, [query(decoder, prompt, longer)])[0][0]
    rivals = sorted(longer, key=lambda text: -values[longer.index(text)])[:12]
    asked = query(decoder, prompt, [short, *rivals])
    assert len(beginnings(asked.answers)) == 12
    right = np.arange(13) == 1
    for exact in (1, None):
        found = score_contenders(decoder, [asked], [right], exact=exact)[0]
        assert judge(found.values, right).rank == 1
    assert log_probabilities(decoder, [asked])[0][0].argmax() == 0


def test_few_contenders_are_scored_to_their_ends_in_one_round(
    decoder: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else changes: more candidates are known, and values are the same."""
    hidden, rounds = type(decoder).hidden, []

    def counted(lm: LanguageModel, ids: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        rounds.append(ids.shape)
        return hidden(lm, ids, *args, **kwargs)

    monkeypatch.setattr(type(decoder), "hidden", counted)
    queries = asked(decoder)
    right = [np.arange(len(ANSWERS)) == 0] * len(queries)
    found, n_rounds = [], []
    for few in (0, 1000):
        monkeypatch.setattr(contenders, "FEW", few)
        rounds.clear()
        found.append(score_contenders(decoder, queries, right, exact=1))
        n_rounds.append(len(rounds))
    assert n_rounds[1] == 2 < n_rounds[0]  # the prompts, and all that follows
    for one_by_one, at_once in zip(*found, strict=True):
        assert at_once.complete.sum() > one_by_one.complete.sum()
        both, near = one_by_one.complete & at_once.complete, rounding(at_once.values, tiny.DEPTH)
        np.testing.assert_allclose(at_once.values[both], one_by_one.values[both], atol=near)


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
