"""A push is how far an edit really moves the residual stream; a gain makes it as long as wanted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tiny
from clean_values import PROMPTS, clean, table
from neuron_atlas.arms import push
from neuron_atlas.arms.gains import LARGEST
from neuron_atlas.arms.push import Writing
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import encode
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Edits
from references import changed
from rounding import rounding

LAYER, N_CHOSEN = 1, 6


def neurons(lm: LanguageModel, layer: int, *, seed: int = 0) -> np.ndarray:
    """Return some neurons of a layer as flat indices."""
    rng = np.random.default_rng(seed)
    return layer * lm.n_neurons + rng.choice(lm.n_neurons, size=N_CHOSEN, replace=False)


def gains(n_arms: int, value: float = 1.0) -> np.ndarray:
    return np.full((n_arms, len(PROMPTS)), value)


@contextmanager
def noted(lm: LanguageModel, layer: int) -> Iterator[list[Tensor]]:
    """Note the residual stream behind a block's MLP; before the norm of the sum where one is."""
    block, found = lm.blocks[layer], []
    if lm.architecture.sum_norm is None:

        def after(_module: nn.Module, _args: Any, output: Any) -> None:
            found.append((output[0] if isinstance(output, tuple) else output)[0].clone())

        handle = block.register_forward_hook(after)
    else:

        def before(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found.append(args[0][0].clone())

        handle = block.get_submodule(lm.architecture.sum_norm).register_forward_pre_hook(before)
    try:
        yield found
    finally:
        handle.remove()


def moved(
    lm: LanguageModel, prompt: str, chosen: np.ndarray, value: Tensor, gain: float
) -> tuple[Tensor, Tensor]:
    """Run one prompt without and with an edit of `LAYER`; return the stream, and its change."""
    before, after = encode(lm, prompt)
    masks = [lm.mask_id] if lm.architecture.encoder else []
    place = len(before) - (0 if masks else 1)
    ids, index = torch.tensor([[*before, *masks, *after]]), chosen % lm.n_neurons

    def change(x: Tensor) -> None:
        own = x[:, place, index]
        x[:, place, index] = own + gain * (value[0, LAYER, index] - own)

    with torch.no_grad(), noted(lm, LAYER) as streams:
        lm.network(ids)
        with changed(site_modules(lm, "hidden")[LAYER][0], change):
            lm.network(ids)
    stream, edited = streams
    return stream[place], (edited - stream)[place]


@pytest.mark.parametrize("gain", [1.0, 0.3, 2.0])
def test_a_push_is_the_real_change_of_the_residual_stream(lm: LanguageModel, gain: float) -> None:
    """Of one layer: what it does to the layers above it is the effect, not the push."""
    chosen, value, found = neurons(lm, LAYER), table(lm), clean(lm)
    edits = ablation.edits_of([chosen], value)
    pushes = found.pushes(found.moves(edits), gains(1, gain))[0]
    for prompt, one in zip(PROMPTS, pushes, strict=True):
        stream, real = moved(lm, prompt, chosen, value, gain)
        near = 20 * rounding(stream, tiny.DEPTH)
        assert one == pytest.approx(float(real.norm()), abs=near)
        assert one > 100 * near  # positive control: there is something to compare


def test_the_norm_after_an_mlp_counts() -> None:
    """Positive control: without it, the push of a family that has one is another."""
    lm = tiny.random_model("gemma3_text")
    for norm in Writing(lm, "hidden").norms_after:
        norm.weight.add_(1.0)  # so that it does more than norm
    found, chosen, value = clean(lm), neurons(lm, LAYER), table(lm)
    moves = found.moves(ablation.edits_of([chosen], value))
    bare = moves.sum(1).norm(dim=-1)[0].numpy()
    normed = found.pushes(moves, gains(1))[0]
    real = [float(moved(lm, p, chosen, value, 1.0)[1].norm()) for p in PROMPTS]
    np.testing.assert_allclose(normed, real, rtol=1e-4)
    assert (np.abs(bare / normed - 1) > 0.05).all()


def test_the_push_of_several_layers_is_that_of_the_sum(decoder: LanguageModel) -> None:
    found, value = clean(decoder), table(decoder)
    each = [neurons(decoder, layer) for layer in range(decoder.n_layers)]
    edits = ablation.edits_of([np.concatenate(each), *each], value)
    moves = found.moves(edits)
    torch.testing.assert_close(moves[0], moves[1:].sum(0))
    total = moves[1:].sum((0, 1)).norm(dim=-1).numpy()
    pushes = found.pushes(moves, gains(len(moves)))
    np.testing.assert_allclose(pushes[0], total, rtol=1e-5)
    assert (pushes[0] < pushes[1:].sum(0) * 0.99).all()  # of vectors, not of their lengths


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "gemma3_text"])
def test_gains_give_the_wanted_pushes(family: str, alpha: float) -> None:
    lm = tiny.random_model(family)
    found, value = clean(lm), table(lm)
    sets = [np.concatenate([neurons(lm, i, seed=j) for i in (0, 2)]) for j in range(4)]
    moves = found.moves(ablation.edits_of(sets, value))
    model = found.pushes(moves, gains(4))[:1]
    wanted = np.repeat(alpha * model, 4, axis=0)
    gain = found.gains(moves, wanted)
    reached, free = found.pushes(moves, gain), gain < LARGEST
    np.testing.assert_allclose(reached[free], wanted[free], rtol=1e-3)
    assert (reached <= wanted * 1.001).all()
    assert free.all() or (lm.architecture.down_norm and free.mean() > 0.6)
    unscaled = found.pushes(moves, gains(4))
    assert np.abs(unscaled / wanted - 1).max() > 0.1  # positive control


def test_an_arm_that_moves_nothing_keeps_its_gain(decoder: LanguageModel) -> None:
    found, value = clean(decoder), table(decoder)
    edits = ablation.edits_of([np.empty(0, np.int64), neurons(decoder, 0)], value)
    moves = found.moves(edits)
    gain = found.gains(moves, gains(2, 0.5))
    assert (gain[0] == 1).all()
    assert (gain[1] != 1).all()
    assert (found.pushes(moves, gain)[0] == 0).all()


def test_a_push_beyond_what_a_norm_allows_stops_at_the_largest_gain() -> None:
    lm = tiny.random_model("gemma3_text")
    found = clean(lm)
    moves = found.moves(ablation.edits_of([neurons(lm, 0)], table(lm)))
    gain = found.gains(moves, gains(1, 1e6))
    np.testing.assert_array_equal(gain, LARGEST)
    assert (found.pushes(moves, gain) < 1e3).all()


def one_by_one(lm: LanguageModel, flat: Sequence[int]) -> Edits:
    return ablation.edits_of([np.array([i]) for i in flat], table(lm))


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_a_neuron_s_strength_is_its_own_push(family: str) -> None:
    lm = tiny.random_model(family)
    found, some = clean(lm), [0, 5, lm.n_neurons, 3 * lm.n_neurons - 1]
    pushes = found.pushes(found.moves(one_by_one(lm, some)), gains(len(some)))
    alone = np.sqrt((pushes**2).mean(1))
    strength = found.strength(table(lm)[0])
    assert strength.shape == (lm.n_layers, lm.n_neurons)
    np.testing.assert_allclose(strength.flat[some], alone, rtol=1e-4)


def test_hidden_units_write_the_vector_that_is_added(lm: LanguageModel) -> None:
    """Adding them to the MLP's values changes its output by exactly that vector."""
    writing, generator = Writing(lm, "hidden"), torch.Generator().manual_seed(0)
    width = writing.columns(0).shape[1]
    added = torch.randn(2, lm.n_layers, width, generator=generator)
    units = writing.hidden_units(added)
    values = torch.randn(lm.n_layers, lm.n_neurons, generator=generator)
    for layer, down in enumerate(writing.downs):
        with torch.no_grad():
            change = down(values[layer] + units[:, layer]) - down(values[layer])
        torch.testing.assert_close(change, added[:, layer], rtol=1e-4, atol=1e-4)


def test_the_hidden_units_of_a_vector_are_the_smallest(decoder: LanguageModel) -> None:
    """More units than coordinates: what writes nothing is not among them."""
    writing = Writing(decoder, "hidden")
    width = writing.columns(0).shape[1]
    added = torch.randn(1, decoder.n_layers, width, generator=torch.Generator().manual_seed(0))
    for layer in range(decoder.n_layers):
        least = added[0, layer].double() @ torch.linalg.pinv(writing.columns(layer).double())
        torch.testing.assert_close(
            writing.hidden_units(added)[0, layer], least.float(), rtol=1e-4, atol=1e-4
        )


def test_a_direction_has_the_length_of_each_layer_s_change() -> None:
    lengths = np.array([0.0, 2.0, 0.5])
    rng = np.random.default_rng(0)
    drawn = [push.direction(lengths, 16, rng) for _ in range(200)]
    np.testing.assert_allclose(drawn[0].norm(dim=1), lengths, rtol=1e-6)
    mean = torch.stack(drawn)[:, 1].mean(0).norm()
    assert mean < 3 * 2.0 / np.sqrt(200)  # it points anywhere
    moves = torch.zeros(3, 2, 4)
    moves[1, :, 0] = torch.tensor([3.0, 4.0])
    np.testing.assert_allclose(push.layer_norms(moves), [0, np.sqrt(12.5), 0])
