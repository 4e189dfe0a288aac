"""The search for edits: its cheap rows against full forwards, its bounds, and that it succeeds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import planted
import tiny
from neuron_atlas.attributions.questions import Question, points
from neuron_atlas.attributions.trace import record_trace
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model_edits import descent
from neuron_atlas.model_edits.descent import FitTask, search
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import vectors
from planted_scores import unit

HOW = Descent(steps=12, rate=0.5, margin=2.0, max_norm=2.0)


def a_task(lm: LanguageModel, *, seed: int = 0) -> FitTask:
    """Three prompts of two facts, two sets of three neurons each, in all layers."""
    prompts = []
    for prompt, new, old in (("a b c", 7, 8), ("d e f g h i", 9, 10), ("j", 11, 12)):
        (point,) = points(lm, Question(prompt, (new,)))
        prompts.append(point._replace(choices=(new, old)))
    size = (2, 2, 3)
    flat = np.random.default_rng(seed).choice(lm.n_layers * lm.n_neurons, size=12, replace=False)
    train, use = torch.ones(size, dtype=torch.bool), torch.ones(3, 2, dtype=torch.bool)
    neurons = torch.from_numpy(flat.reshape(size))
    return FitTask(prompts, torch.tensor([0, 0, 1]), neurons, train, use)


def a_delta(lm: LanguageModel) -> Tensor:
    width = lm.network.config.hidden_size
    return torch.randn(2, 2, 3, width, generator=torch.Generator().manual_seed(0))


@contextmanager
def added(module: nn.Module, index: int, delta: Tensor, where: slice) -> Iterator[None]:
    """The obvious edit of one neuron: its value times delta, added to the layer's output."""

    def after(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, where] += args[0][:, where, index, None] * delta
        return output

    handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def full_gaps(lm: LanguageModel, task: FitTask, delta: Tensor) -> Tensor:
    """Return log p(new) - log p(old) with one full forward a prompt and set."""
    result = torch.empty(len(task.prompts), task.neurons.shape[1])
    for p, point in enumerate(task.prompts):
        whole = lm.architecture.encoder
        where = slice(None) if whole else slice(point.position, point.position + 1)
        for r in range(task.neurons.shape[1]):
            with ExitStack() as stack:
                fact = int(task.fact[p])
                for neuron, d in zip(task.neurons[fact, r].tolist(), delta[fact, r], strict=True):
                    layer, index = divmod(neuron, lm.n_neurons)
                    module = site_modules(lm, "hidden")[layer][0]
                    stack.enter_context(added(module, index, d, where))
                logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
            new, old = point.choices
            result[p, r] = logits[new] - logits[old]
    return result


def test_rows_equal_a_full_forward_a_prompt_and_set(lm: LanguageModel) -> None:
    task, delta = a_task(lm), a_delta(lm)
    found = descent.gaps(lm, record_trace(lm, task.prompts), task, delta)
    torch.testing.assert_close(found, full_gaps(lm, task, delta), atol=2e-4, rtol=1e-4)
    clean = full_gaps(lm, task, torch.zeros_like(delta))
    assert (found - clean).abs().max() > 0.1  # positive control


def test_the_slope_is_the_derivative_of_the_loss(decoder: LanguageModel) -> None:
    task, delta = a_task(decoder), a_delta(decoder) * 0.1
    clean, margin = record_trace(decoder, task.prompts), 50.0
    loss, slope = descent.loss_and_slope(decoder, clean, task, delta, margin)
    step = torch.randn(delta.shape, generator=torch.Generator().manual_seed(1)) * 1e-3
    gap = full_gaps(decoder, task, delta)
    expected = torch.stack([2 * margin - gap[:2].sum(0), margin - gap[2]])
    torch.testing.assert_close(loss, expected, atol=1e-3, rtol=1e-4)
    ends = [full_gaps(decoder, task, delta + sign * step) for sign in (1, -1)]
    numeric = (ends[1] - ends[0]).sum() / 2  # the loss falls as the gap grows
    torch.testing.assert_close(numeric, (slope * step).sum(), rtol=0.02, atol=1e-5)


def test_edits_stay_in_their_bound_and_succeed(lm: LanguageModel) -> None:
    task = a_task(lm)
    delta = search(lm, task, HOW)
    own = torch.stack([vectors(lm, n.numpy()).norm(dim=1) for n in task.neurons.flatten(0, 1)])
    share = delta.flatten(0, 1).norm(dim=2) / own
    assert share.max() <= HOW.max_norm * (1 + 1e-5)
    assert share.max() > 0.1
    clean = full_gaps(lm, task, torch.zeros_like(delta))
    pulled = clean <= HOW.margin  # where the new answer has not yet won
    assert pulled.any()
    assert (full_gaps(lm, task, delta) > clean)[pulled].all()
    torch.testing.assert_close(search(lm, task, HOW), delta, rtol=0, atol=0)


def test_what_may_not_change_does_not_and_prompts_not_used_do_not_pull(
    decoder: LanguageModel,
) -> None:
    task = a_task(decoder)
    task.train[:, 0, 1:] = False
    task.use[1, 0] = False
    delta = search(decoder, task, HOW)
    assert (delta[:, 0, 1:] == 0).all()
    assert (delta[:, 0, 0] != 0).any()
    alone = FitTask(
        [task.prompts[0], task.prompts[2]],
        task.fact[[0, 2]],
        task.neurons[:, :1],
        task.train[:, :1],
        task.use[[0, 2]][:, :1],
    )
    torch.testing.assert_close(search(decoder, alone, HOW), delta[:, :1], atol=1e-3, rtol=1e-2)


def test_a_prompt_that_answers_the_new_object_already_is_left_alone(
    decoder: LanguageModel,
) -> None:
    task = a_task(decoder)
    width = decoder.network.config.hidden_size
    gap = full_gaps(decoder, task, torch.zeros(2, 2, 3, width))
    asked = [
        p if g > 0 else p._replace(token=p.choices[1], choices=(p.choices[1], p.choices[0]))
        for p, g in zip(task.prompts, gap[:, 0].tolist(), strict=True)
    ]
    task = FitTask(asked, task.fact, task.neurons, task.train, task.use)
    delta = search(
        decoder, task, HOW.model_copy(update={"steps": 5, "margin": -20.0, "max_norm": 1.0})
    )
    assert (delta == 0).all()


def test_an_edit_in_force_is_kept_and_changes_what_comes_next(planted_model: LanguageModel) -> None:
    """With the first edit undone, as in the published code, the second would repeat its work."""
    (point,) = points(planted_model, Question("xa_alpha_0 xa_s0 :", (0,)))
    words = planted.vocabulary()
    new, old = words["xa_alpha_a1"], words["xa_alpha_a0"]
    prompts = [point._replace(token=new, choices=(new, old))]
    neurons = torch.from_numpy(unit("fact:alpha:s0", "language:xa:1"))[None, None]
    train, use = torch.tensor([[[True, False]]]), torch.ones(1, 1, dtype=torch.bool)
    first_task = FitTask(prompts, torch.tensor([0]), neurons, train, use)
    how = Descent(steps=20, rate=0.4, margin=2.0, max_norm=2.0)
    first = search(planted_model, first_task, how)
    clean = record_trace(planted_model, prompts)
    assert descent.gaps(planted_model, clean, first_task, first).item() > 0  # it is done
    second_task = FitTask(prompts, torch.tensor([0]), neurons, ~train, use)
    second = search(planted_model, second_task, how, start=first)
    undone = search(planted_model, second_task, how)
    torch.testing.assert_close(second[:, :, 0], first[:, :, 0], rtol=0, atol=0)
    assert second[0, 0, 1].norm() < 0.5 * undone[0, 0, 1].norm()


def test_a_masked_model_s_new_answer_of_two_tokens_has_two_masks() -> None:
    lm = tiny.random_model("bert")
    (first, *_) = points(lm, Question("a b", (7, 8)))
    assert first.ids.count(tiny.MASK) == 2


def test_an_edit_is_no_larger_than_it_must_be(planted_model: LanguageModel) -> None:
    """The unit's value is 3 and the head doubles: (2 * 3 + 2) / (2 * 3 * sqrt(2)) is the least."""
    (point,) = points(planted_model, Question("xa_alpha_0 xa_s0 :", (0,)))
    words = planted.vocabulary()
    new, old = words["xa_alpha_a1"], words["xa_alpha_a0"]
    task = FitTask(
        [point._replace(token=new, choices=(new, old))],
        torch.tensor([0]),
        torch.from_numpy(unit("fact:alpha:s0"))[None, None],
        torch.ones(1, 1, 1, dtype=torch.bool),
        torch.ones(1, 1, dtype=torch.bool),
    )
    delta = search(planted_model, task, Descent(steps=1, rate=9.0, margin=2.0, max_norm=9.0))
    assert delta.norm() == pytest.approx(8 / (6 * 2**0.5), rel=1e-4)  # a linear loss: one step
    clean = record_trace(planted_model, task.prompts)
    assert descent.gaps(planted_model, clean, task, delta).item() == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize("family", ["gpt2"])
def test_bfloat16_edits_are_finite(family: str) -> None:
    lm = tiny.random_model(family, dtype=torch.bfloat16)
    assert torch.isfinite(search(lm, a_task(lm), HOW)).all()


def test_threads_do_not_race(decoder: LanguageModel) -> None:
    """The prompts of a fact add to one slope; in whatever order threads came, it would wander."""
    small, n_prompts, n_sets = a_task(decoder), 8, 400
    task = FitTask(
        [small.prompts[i % 3] for i in range(n_prompts)],
        torch.zeros(n_prompts, dtype=torch.long),
        small.neurons[:1, :1].expand(1, n_sets, -1),
        small.train[:1, :1].expand(1, n_sets, -1),
        torch.ones(n_prompts, n_sets, dtype=torch.bool),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first, *others = [search(decoder, task, HOW) for _ in range(6)]
    finally:
        torch.set_num_threads(before)
    assert first.abs().max() > 1e-3
    assert all(torch.equal(first, other) for other in others)
