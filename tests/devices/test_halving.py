"""Out of memory, simulated: batches are halved, and give what the smaller batches give."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import everything
import tiny
from attribution_cases import others
from neuron_atlas.activations import extraction
from neuron_atlas.arms.push import Writing
from neuron_atlas.attributions import batches, clean_pass, gradients, tolerance
from neuron_atlas.attributions.quadrature import RULES
from neuron_atlas.attributions.questions import Question
from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation
from neuron_atlas.model_edits.key_covariance import covariances
from neuron_atlas.other_selectors import scores
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.value_vectors.at_head import ValueVectors
from rounding import rounding

Room = Callable[[int], None]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> tuple[Room, list[int]]:
    """A device that holds no pass of more rows than it is told, and how many rows fitted."""
    fitted: list[int] = []
    most = [10**9]
    hidden = LanguageModel.hidden

    def limited(lm: LanguageModel, ids: Any, *args: Any, **kwargs: Any) -> Any:
        if len(ids) > most[0]:
            raise torch.OutOfMemoryError("simulated")
        fitted.append(len(ids))
        return hidden(lm, ids, *args, **kwargs)

    monkeypatch.setattr(LanguageModel, "hidden", limited)

    def set_room(n_rows: int) -> None:
        most[0] = n_rows

    return set_room, fitted


def test_halves_come_in_order_until_they_fit() -> None:
    def run(some: Sequence[int]) -> int:
        if len(some) > 2:
            raise torch.OutOfMemoryError("simulated")
        return sum(some)

    found = list(halving([1, 2, 3, 4, 5], run, in_two))
    assert found == [([1, 2], 3), ([3], 3), ([4, 5], 9)]


def test_what_does_not_fit_alone_is_an_error_that_says_what_to_do() -> None:
    def run(_some: Sequence[int]) -> int:
        raise torch.OutOfMemoryError("simulated")

    with pytest.raises(torch.OutOfMemoryError, match="simulated") as caught:
        list(halving([1, 2], run, in_two))
    assert "NEURON_ATLAS_DEVICE=spread" in caught.value.__notes__[0]


def test_other_errors_are_not_tried_again() -> None:
    tried = []

    def run(some: Sequence[int]) -> int:
        tried.append(some)
        raise RuntimeError("other")

    with pytest.raises(RuntimeError, match="other"):
        list(halving([1, 2], run, in_two))
    assert len(tried) == 1


def test_no_room_for_what_cublas_works_with_is_out_of_memory_too() -> None:
    def run(some: Sequence[int]) -> int:
        if len(some) > 1:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
        return sum(some)

    assert list(halving([1, 2], run, in_two)) == [([1], 1), ([2], 2)]


@pytest.mark.parametrize("part", ["extraction", "scoring", "generation", "texts"])
def test_a_run_goes_on_with_smaller_batches(
    lm: LanguageModel, part: str, room: tuple[Room, list[int]]
) -> None:
    """The bits can depend on a batch's shape; the values do not."""
    whole = everything.PARTS[part](lm)
    set_room, fitted = room
    wide = [n for n in fitted if n > 1]
    if not wide:
        pytest.skip("all was in one row")
    set_room(1)
    fitted.clear()
    halved = everything.PARTS[part](lm)
    assert set(fitted) == {1}
    for name, values in whole.items():
        near = rounding(values.double().numpy(), 10 * tiny.DEPTH)
        torch.testing.assert_close(halved[name].double(), values.double(), rtol=0, atol=near)


def test_extraction_gives_the_bits_of_the_smaller_batches(
    decoder: LanguageModel, room: tuple[Room, list[int]]
) -> None:
    asked = [extraction.reading(decoder, f"{w} b c d", (0, 1), "answer") for w in "efghijkl"]

    def values(n_tokens: int) -> torch.Tensor:
        parts = list(extraction.extract(decoder, asked, n_tokens=n_tokens))
        order = np.argsort(np.concatenate([places for places, _ in parts]))
        return torch.cat([found for _, found in parts])[order]

    width = len(asked[0].ids)
    set_room, fitted = room
    small = values(2 * width)
    assert max(fitted) == 2
    set_room(2)
    assert torch.equal(values(100 * width), small)


def questions(lm: LanguageModel) -> list[Question]:
    prompts = ("a b c d", "b c e f", "e f g h", "k c l m", "n o p q")
    return [Question(p, continuation(lm, p, " x y"), query=(0, len(p))) for p in prompts]


def test_attribution_gives_the_bits_of_the_smaller_batches(lm: LanguageModel) -> None:
    asked = questions(lm)
    run = gradients.path_method(
        lm, baseline="occlusion", rule=RULES["radau"](3), target="log_probability"
    )
    (batch,) = batches.batches(lm, asked, by_words=True)
    first, second = batches.halves(batch)
    by_hand: dict[int, torch.Tensor] = {}
    for part in (first, *batches.halves(second)):  # of 2, 1 and 2 questions with 2 points each
        clean = clean_pass._clean_pass(lm, part, None)
        found = clean_pass.attributed(clean, run, asked)
        by_hand |= dict(zip(part.places, found.scores, strict=True))
    original = clean_pass.record_trace

    def limited(model: LanguageModel, some: Any, **how: Any) -> Any:
        if len(some) > 4:
            raise torch.OutOfMemoryError("simulated")
        return original(model, some, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clean_pass, "record_trace", limited)
        parts = list(clean_pass.run_methods(lm, asked, {"one": run}, by_words=True))
    assert len(parts) == 3
    halved = {
        place: score
        for part in parts
        for place, score in zip(part["one"].places.tolist(), part["one"].scores, strict=True)
    }
    assert halved.keys() == by_hand.keys()
    assert all(torch.equal(halved[i], by_hand[i]) for i in by_hand)
    (whole,) = clean_pass.run_methods(lm, asked, {"one": run}, by_words=True)
    for i, score in zip(whole["one"].places.tolist(), whole["one"].scores, strict=True):
        torch.testing.assert_close(halved[i], score, rtol=1e-3, atol=1e-4)


def test_one_question_has_fewer_rows_at_a_time_until_there_is_one(decoder: LanguageModel) -> None:
    (batch,) = batches.batches(decoder, questions(decoder)[:1], by_words=False)
    seen = []
    while found := batches.halves(batch):
        (batch,) = found
        seen.append(batches.nodes_at_once(decoder, batch, n_layers=300))
    assert seen[:3] == [4, 2, 1]
    assert batches.nodes_at_once(decoder, batch, n_layers=3) == 1


def test_halves_hold_every_question_once_with_its_own_points(decoder: LanguageModel) -> None:
    (batch,) = batches.batches(decoder, questions(decoder), by_words=False)
    first, second = batches.halves(batch)
    assert (*first.places, *second.places) == batch.places
    assert (*first.points, *second.points) == batch.points
    for half in (first, second):
        assert sorted(set(half.owner)) == list(range(len(half.places)))


def test_candidates_are_scored_anew_where_memory_ends_after_their_first_tokens(
    decoder: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = [np.arange(len(everything.ANSWERS)) == 2] * len(everything.PROMPTS)
    asked = everything.queries(decoder)

    def scored() -> list[Any]:
        return score_contenders(decoder, asked, right, exact=1, sequence=12)

    whole, hidden, n_calls = scored(), LanguageModel.hidden, [0]

    def limited(lm: LanguageModel, ids: Any, *args: Any, **kwargs: Any) -> Any:
        n_calls[0] += 1
        if n_calls[0] == 2:
            assert len(ids) > 1
            raise torch.OutOfMemoryError("simulated")
        return hidden(lm, ids, *args, **kwargs)

    monkeypatch.setattr(LanguageModel, "hidden", limited)
    for before, after in zip(whole, scored(), strict=True):
        np.testing.assert_allclose(before.values, after.values, atol=1e-4)
    assert n_calls[0] > 4


def at_most(patch: pytest.MonkeyPatch, n_points: int) -> list[int]:
    """Let a clean pass have no more points than these; return how many there were, as they run."""
    original, seen = clean_pass.record_trace, list[int]()

    def limited(model: LanguageModel, some: Any, **how: Any) -> Any:
        seen.append(len(some))
        if len(some) > n_points:
            raise torch.OutOfMemoryError("simulated")
        return original(model, some, **how)

    patch.setattr(clean_pass, "record_trace", limited)
    return seen


def test_selectors_and_what_precedes_the_head_are_means_over_smaller_batches_too(
    lm: LanguageModel,
) -> None:
    prompts = ("a b c d", "b c e f", "e f g h", "k c l m")
    asked = [Question(p, (5,), ((5,), (6,)), query=(0, len(p))) for p in prompts]

    def found() -> list[torch.Tensor]:
        vectors = ValueVectors(lm, "hidden", asked).of_neurons(0, torch.tensor([0, 3]))
        selected = scores.of_relation(lm, asked, others(lm), Writing(lm, "hidden"))
        return [vectors, *selected.values()]

    whole = found()
    with pytest.MonkeyPatch.context() as patch:
        seen = at_most(patch, 1)
        halved = found()
    assert {1, 2, 4} <= set(seen)
    for a, b in zip(whole, halved, strict=True):
        near = rounding(a.double().numpy(), 10 * tiny.DEPTH)
        torch.testing.assert_close(b.double(), a.double(), rtol=0, atol=near)


def test_as_many_steps_are_found_where_halves_alone_fit(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may end in the clean pass, and in what is made of it."""
    asked, rule = questions(lm)[:4], RULES["radau"]

    def make(steps: int, _screen: bool, difference: bool) -> clean_pass.Method:
        return gradients.path_method(
            lm,
            baseline="occlusion",
            rule=rule(steps),
            target="log_probability",
            check=difference,
        )

    def fewest() -> tolerance.Fewest:
        return tolerance.fewest_steps(
            lm, asked, by_words=True, make=make, tolerance=0.02, strongest=5
        )

    whole = fewest()
    with pytest.MonkeyPatch.context() as patch:
        seen = at_most(patch, 4)
        assert fewest() == whole
    assert 8 in seen
    original, alone = clean_pass.attributed, list[bool]()

    def limited(clean: clean_pass.CleanPass, *args: Any) -> clean_pass.Attributed:
        alone.append(len(clean.batch.places) == 1)
        if not alone[-1]:
            raise torch.OutOfMemoryError("simulated")
        return original(clean, *args)

    monkeypatch.setattr(clean_pass, "attributed", limited)
    assert fewest() == whole
    assert set(alone) == {True, False}


def test_the_parts_of_a_batch_have_the_bits_of_the_smaller_batches(
    decoder: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = questions(decoder)[:4]
    keep = torch.rand(4, decoder.n_layers, decoder.n_neurons)
    run = gradients.gradient_activation_method(target="log_probability")
    (batch,) = batches.batches(decoder, asked, by_words=False)
    by_hand = [
        clean_pass.attributed(clean_pass._clean_pass(decoder, half, keep), run, asked)
        for half in batches.halves(batch)
    ]
    clean, original = clean_pass._clean_pass(decoder, batch, keep), clean_pass.attributed

    def limited(some: clean_pass.CleanPass, *args: Any) -> clean_pass.Attributed:
        if some is clean:
            raise torch.OutOfMemoryError("simulated")
        return original(some, *args)

    monkeypatch.setattr(clean_pass, "attributed", limited)
    found = list(clean_pass.parts_attributed(clean, run, asked))
    for one, other in zip(found, by_hand, strict=True):
        assert one.places.tolist() == other.places.tolist()
        assert torch.equal(one.scores, other.scores)


def test_keys_are_those_of_the_prompts_however_few_run_at_once(
    lm: LanguageModel, room: tuple[Room, list[int]]
) -> None:
    texts = {"xx": pd.DataFrame({"prompt": [f"{w} b c {w}" for w in "defghijkl"]})}

    def keys() -> torch.Tensor:
        return covariances(lm, texts, [1], n_tokens=20, ridge=0.5)[1].keys

    set_room, fitted = room
    whole = keys()
    assert fitted == [9]
    set_room(2)
    fitted.clear()
    halved = keys()
    assert max(fitted) == 2
    assert len(whole) == len(halved) == 20
    near = rounding(whole.double().numpy(), 10 * tiny.DEPTH)
    torch.testing.assert_close(halved.double(), whole.double(), rtol=0, atol=near)
