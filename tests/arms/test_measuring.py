"""The three numbers of an arm add up, and its predictions are those of scoring everything."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import tiny
from neuron_atlas.arms import measuring
from neuron_atlas.arms.measuring import Measured, Question
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.recall.answers import judge
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.beginnings import beginnings, without_continuations
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import query
from references import plain

LABELS = ["k", "k l", "k l m", "k m", "n o p", "q", "r", "r s", "t", "u v"]
PROMPTS = ["a b c", "d e f g h i", "j", "b a", "w x y z", "i h", "c c c", "z a"]
N_ARMS, NATS = 6, 1e-4


def row(prompt: str, right: list[int], values: np.ndarray) -> dict[str, Any]:
    """Return what a row of the recall table tells of its candidates."""
    return {
        "prompt": prompt,
        "separator": " ",
        "candidate_labels": LABELS,
        "candidates": [f"c{i}" for i in range(len(LABELS))],
        "objects": [f"c{i}" for i in right],
        "log_probabilities": values,
    }


class Setup(NamedTuple):
    lm: LanguageModel
    off: Intervention
    questions: list[Question]

    def measured(self) -> list[Measured]:
        return measuring.measure(self.off, self.questions, [range(N_ARMS)] * len(self.questions))

    def values(self, asked: Question) -> np.ndarray:
        """Score every candidate whole: without intervention, then under each arm."""
        whole = query(self.lm, asked.prompt, asked.candidates)
        return self.off.ask([whole], [(UNEDITED, *range(N_ARMS))])[0].values


def setup(family: str) -> Setup:
    """Every candidate in turn is right, on every prompt; now and then a second one."""
    lm = tiny.random_model(family)
    tokens, rng = CandidateTokens(lm), np.random.default_rng(0)
    rows = [
        row(p, [i, *rng.choice(len(LABELS), size=int(rng.random() < 0.3))], rng.normal(size=10))
        for p in PROMPTS
        for i in range(len(LABELS))
    ]
    generator = torch.Generator().manual_seed(1)
    value = torch.randn(1, lm.n_layers, lm.n_neurons, generator=generator)
    sets = [rng.choice(value.numel(), size=10, replace=False) for _ in range(N_ARMS)]
    gain = [1.0, 0.5, 2.0, 1.0, -1.0, 1.0]
    edits = ablation.edits_of(sets, value, gain=gain)
    return Setup(lm, Intervention(lm, edits), [measuring.question(tokens, r) for r in rows])


@pytest.fixture(scope="module", params=["llama", "gemma3_text", "bert"])
def given(request: pytest.FixtureRequest) -> Setup:
    return setup(request.param)


@pytest.fixture(scope="module")
def found(given: Setup) -> list[Measured]:
    return given.measured()


def test_the_candidates_hold_beginnings_of_others(given: Setup) -> None:
    assert sorted(beginnings(given.questions[0].candidates)) == [(0, 1), (0, 3), (1, 2), (6, 7)]


def test_effects_add_up_on_answers_of_one_token(given: Setup, found: list[Measured]) -> None:
    """In an encoder on all answers: its type is that of every mask."""
    largest = 0.0
    for asked, one in zip(given.questions, found, strict=True):
        shown = one.table()
        rest = shown["effect"] - shown["effect_type"] - shown["effect_given_type"]
        np.testing.assert_allclose(shown["effect_later"], rest, atol=NATS)
        if given.lm.architecture.encoder or len(asked.candidates[asked.target]) == 1:
            assert rest.abs().max() < NATS
        else:
            largest = max(largest, rest.abs().max())
        assert shown["effect_type"].abs().max() > 0.01
        assert shown["effect_given_type"].abs().max() > 0.01
    assert given.lm.architecture.encoder or largest > 0.1  # positive control


def test_the_remainder_is_what_later_tokens_add(given: Setup, found: list[Measured]) -> None:
    if given.lm.architecture.encoder:
        pytest.skip("an encoder reads no first token alone")
    for asked, one in zip(given.questions[:20], found, strict=False):
        answer = asked.candidates[asked.target]
        ends = query(given.lm, asked.prompt, [answer, answer[:1]])
        values = given.off.ask([ends], [(UNEDITED, *range(N_ARMS))])[0].values
        later = values[:, 0] - values[:, 1]
        np.testing.assert_allclose(one.answer - one.type - one.given_type, later, atol=NATS)


def test_the_type_is_the_mass_on_the_candidates_first_tokens(
    given: Setup, found: list[Measured]
) -> None:
    if given.lm.architecture.encoder:
        pytest.skip("an encoder reads no first token alone")
    for asked, one in zip(given.questions[:: len(LABELS)], found[:: len(LABELS)], strict=True):
        first = {c[:1] for c in asked.candidates}
        whole = query(given.lm, asked.prompt, sorted(first))
        mass = sum(np.exp(plain(given.lm, whole, token)) for token in first)
        assert one.type[0] == pytest.approx(np.log(mass), abs=NATS)
        answer = asked.candidates[asked.target]
        assert one.answer[0] == pytest.approx(plain(given.lm, whole, answer), abs=NATS)
        assert one.type[0] < -0.01  # it is not the whole vocabulary


def test_the_answer_is_the_right_one_that_was_most_probable(given: Setup) -> None:
    tokens, values = CandidateTokens(given.lm), np.arange(10.0)
    asked = measuring.question(tokens, row("a b c", [2, 5, 4], values))
    assert asked.target == 5
    assert asked.right.nonzero()[0].tolist() == [2, 4, 5]


def test_predictions_are_those_of_scoring_every_candidate(
    given: Setup, found: list[Measured]
) -> None:
    correct, taken = [], 0.0
    for asked, one in zip(given.questions, found, strict=True):
        values = given.values(asked)
        alone = values
        if not given.lm.architecture.encoder:
            alone = without_continuations(values, asked.candidates)
        slow = [judge(v, asked.right).rank == 1 for v in alone]
        assert one.correct.tolist() == slow
        correct += slow
        taken = max(taken, float((values - alone).max()))
    assert 0.02 < np.mean(correct) < 0.9  # positive control: there are both
    assert given.lm.architecture.encoder or taken > 0.1  # positive control: beginnings matter


def test_a_candidate_that_only_begins_well_is_scored_to_its_end(
    given: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positive control of the above: first tokens alone would give other predictions."""
    if given.lm.architecture.encoder:
        pytest.skip("an encoder scores all candidates whole")
    exact = [one.correct.tolist() for one in given.measured()]
    with monkeypatch.context() as now:
        now.setattr(measuring, "_settle", lambda *_: None)
        bounds = [one.correct.tolist() for one in given.measured()]
    assert exact != bounds
    pairs = [
        (a, b)
        for one, two in zip(exact, bounds, strict=True)
        for a, b in zip(one, two, strict=True)
    ]
    assert all(b or not a for a, b in pairs)  # settling only takes back


def test_measures_do_not_depend_on_what_is_asked_beside(
    given: Setup, found: list[Measured]
) -> None:
    some = given.questions[3:5]
    again = measuring.measure(given.off, some, [[2], [0, 5]])
    for one, places, whole in zip(again, ([0, 3], [0, 1, 6]), found[3:5], strict=True):
        np.testing.assert_allclose(one.answer, whole.answer[places], atol=NATS)
        np.testing.assert_allclose(one.type, whole.type[places], atol=NATS)
        assert one.correct.tolist() == whole.correct[places].tolist()
