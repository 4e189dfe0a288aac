"""Attributions and edits as published, against full passes of tiny models, to 1e-5."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import references
import slow_neurons
import tiny
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.attributions.clean_pass import run_methods
from neuron_atlas.attributions.questions import Question, points
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring.trees import query
from published.knowledge import arms
from published.knowledge.arms import Arm, operate
from published.knowledge.attributing import Start, published_method

EXACT = 1e-5
QUESTIONS = [Question("a b c d", (9, 11)), Question("e f", (8,)), Question("g h i j k", (12,))]


@pytest.fixture(scope="module", params=["llama", "bert", "gemma3_text"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


def attributed(lm: LanguageModel, question: Question, **how: Any) -> Tensor:
    (found,) = run_methods(lm, [question], {"one": published_method(lm, **how)})
    scores: Tensor = found["one"].scores[0]
    return scores


@pytest.mark.parametrize("start", ["zero", "tokens"])
def test_attributions_are_those_of_full_passes(lm: LanguageModel, start: Start) -> None:
    together = list(run_methods(lm, QUESTIONS, {"one": published_method(lm, start=start, steps=4)}))
    for part in (found["one"] for found in together):
        for place, scores in zip(part.places.tolist(), part.scores, strict=True):
            expected = slow_neurons.attribution(lm, QUESTIONS[place], start, 4)
            largest = float(expected.abs().max())
            assert largest > 10 * EXACT
            torch.testing.assert_close(
                scores, expected, atol=min(EXACT, EXACT * largest * 10), rtol=0
            )


def test_one_step_is_value_times_gradient_and_layers_can_be_left_out() -> None:
    lm = tiny.random_model("llama")
    whole = attributed(lm, QUESTIONS[0], start="tokens", steps=5)
    part = attributed(lm, QUESTIONS[0], start="tokens", steps=5, layers=[1])
    torch.testing.assert_close(part[1], whole[1], atol=EXACT, rtol=EXACT)
    assert part[[0, 2]].abs().max() == 0
    single = attributed(lm, QUESTIONS[0], start="zero", steps=1)
    torch.testing.assert_close(single, slow_neurons.attribution(lm, QUESTIONS[0], "zero", 1))
    with pytest.raises(ValueError, match="at least 1 step"):
        published_method(lm, start="zero", steps=0)


def test_suppressed_and_enhanced_sets_against_full_passes(lm: LanguageModel) -> None:
    prompt, answer = "a b c d", (9, 11)
    own = Arm("f", "m", arms.SET, -1, np.array([1, 30, 50, 51]))
    more = replace(own, control=arms.SIZE, draw=0, neurons=np.array([2, 70]))
    equal = replace(more, control=arms.PUSH)
    point = points(lm, Question(prompt, answer))[0]
    clean = CleanValues(
        Writing(lm, "hidden"), slow_neurons.values_of(lm, point.ids, point.position)[None]
    )
    found = operate(lm, query(lm, prompt, [answer]), clean, [own, more, equal], tolerance=0.0)
    expected = [
        slow_neurons.effect(lm, prompt, answer, arm.neurons, factor)
        for arm in (own, more)
        for factor in (0.0, 2.0)
    ]
    np.testing.assert_allclose(found["effect"][:4], expected, atol=EXACT)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found["push"][4:], found["push"][:2], rtol=1e-3)
    before = references.plain(lm, query(lm, prompt, [answer]), answer)
    np.testing.assert_allclose(found["before"], before, atol=EXACT)
