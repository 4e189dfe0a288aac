"""One prompt: what stands between it and its answers, its next tokens, changes of neurons."""

import numpy as np
import pytest
import torch

import tiny
from neuron_atlas.live import asking, beside_random
from neuron_atlas.live.beside_random import Change, Draws
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query
from rounding import rounding
from tiny import DEPTH


def like(lm: LanguageModel, seed: int = 0) -> RelationSets:
    """Activation sizes of any kind; no unit is massive."""
    size = np.random.default_rng(seed).random((lm.n_layers, lm.n_neurons))
    return RelationSets({}, size, np.empty(0, dtype=np.int64))


def test_next_tokens_are_those_of_the_whole_model(lm: LanguageModel) -> None:
    every = [(i,) for i in range(len(tiny.WORDS))]
    found = asking.next_log_probabilities(lm, "a b c").numpy()
    query = asking.Question("a b c", tuple(tiny.WORDS), tuple(every), given=False).query(lm)
    expected = log_probabilities(lm, [query])[0][0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(expected, DEPTH))
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-5)
    asked = asking.likeliest(lm, "a b c ", 3)
    assert [a for (a,) in asked.answers] == np.argsort(-found, kind="stable")[:3].tolist()
    assert [label.strip() for label in asked.labels] == [tiny.WORDS[a] for (a,) in asked.answers]


@pytest.mark.parametrize(
    ("before", "labels", "gap"),
    [
        ("The capital of France is", ("Paris", "Rome"), " "),
        ("法国的首都是", ("巴黎", "罗马"), ""),
        ("Country code of France: .", ("fr", "it"), ""),
        ('The capital of France is "', ("Paris",), ""),
        ("首都 is", ("巴黎",), " "),
    ],
)
def test_the_gap_is_that_of_the_script(before: str, labels: tuple[str, ...], gap: str) -> None:
    assert asking._gap(before, labels) == gap


def test_a_candidate_means_none_that_continues_it(decoder: LanguageModel) -> None:
    asked = asking.question(decoder, "a b", ["c", "c d"])
    short, long = asking.ask(decoder, asked).log_probability
    whole = log_probabilities(decoder, [Query(asked.query(decoder).prompt, asked.answers)])[0][0]
    assert long == pytest.approx(whole[1])
    assert np.exp(short) == pytest.approx(np.exp(whole[0]) - np.exp(whole[1]), rel=1e-4)


def test_an_encoder_is_asked_amid_the_text() -> None:
    lm = tiny.random_model("bert")
    asked = asking.question(lm, "a {object} b", ["c", "d"])
    ranks = asking.ask(lm, asked)
    assert sorted(ranks.places) == [0, 1]
    assert ranks.share.sum() == pytest.approx(1)


def test_a_change_is_seen_in_the_next_tokens(decoder: LanguageModel) -> None:
    """Beside `measure`, which asks another way; and an empty set changes nothing."""
    neurons = np.array([3, 30, 60])
    change = Change(torch.full((decoder.n_layers, decoder.n_neurons), 0.5))
    off = beside_random.opened(decoder, neurons, change, "hidden")
    asked = asking.likeliest(decoder, "a b c", 4, off=off)
    how = Draws(like(decoder), n=3, seed=0)
    effects, pushes = beside_random.measure(decoder, asked, neurons, change, how)
    seen = asking.next_log_probabilities(decoder, "a b c", off=off).numpy()
    expected = seen[[a for (a,) in asked.answers]]
    np.testing.assert_allclose(effects.after, expected, rtol=0, atol=rounding(expected, DEPTH))
    assert np.abs(effects.after - effects.before).max() > 0.01
    assert pushes.own > 0
    nothing = beside_random.opened(decoder, neurons[:0], change, "hidden")
    clean = asking.next_log_probabilities(decoder, "a b c").numpy()
    same = asking.next_log_probabilities(decoder, "a b c", off=nothing).numpy()
    np.testing.assert_array_equal(clean, same)


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_random_sets_get_the_push_of_the_set(decoder: LanguageModel, scale: float) -> None:
    neurons = np.array([3, 30, 60])
    change = Change(torch.zeros(decoder.n_layers, decoder.n_neurons), scale)
    asked = asking.question(decoder, "a b c", ["d", "e"])
    how = Draws(like(decoder), n=5, seed=0)
    effects, pushes = beside_random.measure(decoder, asked, neurons, change, how)
    np.testing.assert_allclose(pushes.equal, pushes.own, rtol=1e-4)
    assert pushes.as_dict()["push_is_equal"]
    assert np.abs(pushes.same_number / pushes.own - 1).max() > 0.01  # positive control
    assert effects.equal_push is not None
    assert effects.equal_push.shape == effects.same_number.shape == (5, 2)


def test_what_cannot_push_as_hard_is_said() -> None:
    pushes = beside_random.Pushes(2.0, np.ones(2), np.array([2.0, 1.5]))
    assert not pushes.as_dict()["push_is_equal"]
