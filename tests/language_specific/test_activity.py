"""Activity is what a plain forward pass over each text shows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tiny
from language_plans import FEW_TEXTS
from neuron_atlas.language_specific import activity, texts
from neuron_atlas.language_specific.texts import Text
from neuron_atlas.model.language_model import LanguageModel
from rounding import rounding

HOW = FEW_TEXTS.model_copy(update={"max_tokens": 1000})
LINES = ["a b c d", "x", "e f g h i j", "y", "a b q", "z", "k l"]
BEFORE = slice(1, None)  # all but <bos>


def some(lm: LanguageModel) -> list[Text]:
    return list(texts.of_lines(lm, {"xx": LINES}, HOW, seed=0)["xx"].finding)


def gates(lm: LanguageModel, layer: int) -> tuple[nn.Module, bool, Callable[[Tensor], Tensor]]:
    """A module, whether its input is read, and what makes the activated gate of it."""
    block = lm.blocks[layer]
    family = lm.network.config.model_type
    if family == "llama":
        return block.mlp.gate_proj, False, block.mlp.act_fn
    if family == "modernbert":
        return block.mlp.Wi, False, lambda x: block.mlp.act(x[..., : x.shape[-1] // 2])
    return block.get_submodule(lm.architecture.down), True, lambda x: x


def seen(lm: LanguageModel, ids: tuple[int, ...], layer: int, *, gate: bool) -> Tensor:
    """What one text shows of a layer, by hooks that are not the library's."""
    found: list[Tensor] = []
    down = lm.blocks[layer].get_submodule(lm.architecture.down)
    module, of_input, change = gates(lm, layer) if gate else (down, True, lambda x: x)

    def note(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(change(args[0] if of_input else output)[0])

    handle = module.register_forward_hook(note)
    try:
        with torch.no_grad():
            lm.network(torch.tensor([ids]))
    finally:
        handle.remove()
    return found[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "modernbert"])
def test_activity_is_that_of_a_plain_pass_over_each_text(family: str) -> None:
    lm = tiny.random_model(family)
    own = some(lm)
    assert sorted(text.name for text in own) == ["line 1", "line 3", "line 5", "line 7"]
    found = activity.measure(lm, own)
    assert found.n_tokens == 4 + 6 + 3 + 2
    where = slice(1, -1) if lm.architecture.encoder else BEFORE
    for layer in range(lm.n_layers):
        active = sum((seen(lm, t.ids, layer, gate=True)[where] > 0).sum(0) for t in own)
        size = sum(seen(lm, t.ids, layer, gate=False)[where].abs().sum(0) for t in own)
        assert isinstance(active, Tensor)
        assert isinstance(size, Tensor)
        np.testing.assert_array_equal(found.active[layer], active.numpy())
        expected = size.numpy() / found.n_tokens
        near = rounding(expected, 10 * tiny.DEPTH)
        np.testing.assert_allclose(found.size[layer], expected, atol=near)
    assert 0.2 < found.probability.mean() < 0.8  # positive control: both are seen


def test_a_gate_tells_more_than_the_sign_of_the_hidden_unit() -> None:
    """Positive control: act(gate) * up is negative where up is."""
    lm = tiny.random_model("llama")
    own = some(lm)
    gated = activity.measure(lm, own).active
    hidden = [
        sum((seen(lm, t.ids, layer, gate=False)[BEFORE] > 0).sum(0) for t in own)
        for layer in range(lm.n_layers)
    ]
    assert (gated != np.stack([np.asarray(one) for one in hidden])).any()


def test_a_table_gives_the_activity_back(decoder: LanguageModel) -> None:
    found = activity.measure(decoder, some(decoder))
    table = found.table("xx")
    again = activity.of_table(table.sample(frac=1, random_state=0), found.active.shape)
    assert again.n_tokens == found.n_tokens
    np.testing.assert_array_equal(again.active, found.active)
    np.testing.assert_array_equal(again.size, found.size)


def test_nothing_to_read_is_an_error(decoder: LanguageModel) -> None:
    with pytest.raises(ValueError, match="at least one text"):
        activity.measure(decoder, [])
