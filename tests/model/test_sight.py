"""What each layer may see: windows and biases follow positions, wherever a token stands."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tiny
from neuron_atlas.model import hooks
from neuron_atlas.model.sight import ENDLESS, PositionedCache, Sight, opened
from rounding import rounding

NARROW = {  # by name: which of the three layers see `tiny.NARROW` tokens
    "gemma2": (True, False, True),
    "gemma3_text, narrow window": (True, True, False),
    "gpt_neo": (True, False, True),
    "mistral": (True, True, True),
    "phi3": (True, True, True),
    "qwen2": (False, True, True),
    "qwen3, narrow window": (False, True, True),
}


def of(name: str) -> Sight:
    return tiny.random_model(name).sight


@pytest.mark.parametrize("name", tiny.EVERY)
def test_windows_are_those_of_the_configuration(name: str) -> None:
    lm = tiny.random_model(name)
    if lm.architecture.encoder:
        return
    windows = tuple(window if window and window < 9 else None for window in lm.sight.windows)
    narrow = NARROW.get(name, (False,) * 3)
    assert windows == tuple(tiny.NARROW if one else None for one in narrow)
    assert (lm.sight.alibi is not None) == ("bloom" in name or "ALiBi" in name)


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(NARROW))
def test_a_window_hides_what_is_too_far_back_and_nothing_else(name: str) -> None:
    """Positive control of all that windows do right: without them another number comes out."""
    lm = tiny.random_model(name)
    wide = tiny.random_model(name)
    wide.__dict__["sight"] = Sight((None,) * 3)
    for length, same in ((tiny.NARROW, True), (tiny.NARROW + 1, False)):
        ids, places = torch.arange(5, 5 + length)[None], torch.arange(length)[None]
        sight = torch.ones(1, length, length, dtype=torch.bool).tril()
        found = [one.hidden(ids, places, sight) for one in (lm, wide)]
        assert torch.equal(*found) == same


@torch.no_grad()
@pytest.mark.parametrize("name", ["bloom", "falcon, ALiBi of RW"])
def test_biases_are_the_family_s_own_at_any_place(name: str) -> None:
    """Tokens in another order, with their positions and what they see, give what they gave."""
    lm = tiny.random_model(name)
    order = torch.tensor([0, 3, 1, 4, 2])
    ids, places = torch.arange(5, 10)[None], torch.arange(5)[None]
    sight = torch.ones(1, 5, 5, dtype=torch.bool).tril()
    plain = lm.network.get_submodule(lm.architecture.body)(ids).last_hidden_state
    mixed = lm.hidden(ids[:, order], places[:, order], sight[:, order][:, :, order])
    torch.testing.assert_close(mixed, plain[:, order], rtol=0, atol=rounding(plain, tiny.DEPTH))
    by_place = lm.hidden(ids[:, order], places, sight[:, order][:, :, order])
    assert not torch.allclose(by_place, plain[:, order], atol=1e-2)  # positive control


def test_layers_with_one_window_share_one_mask_and_others_need_none() -> None:
    sight = Sight((None, 2, 2, 3))
    places = torch.arange(4)[None]
    seen = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    told = sight.told(seen, places, places, length=4, dtype=torch.float32)
    assert sorted(told) == [1, 2, 3]
    assert told[1]["attention_mask"] is told[2]["attention_mask"]
    allowed = told[1]["attention_mask"][0, 0] == 0
    assert allowed.tolist() == [[k in (q - 1, q) for k in range(4)] for q in range(4)]
    short = sight.told(seen[:, :2, :2], places[:, :2], places[:, :2], length=2, dtype=torch.float32)
    assert short == {}


def test_a_cache_knows_the_positions_of_its_keys() -> None:
    cache = PositionedCache()
    first, second = torch.tensor([[0, 1, 2]]), torch.tensor([[2, 7]])
    assert cache.extended(first).tolist() == [[0, 1, 2]]
    assert cache.extended(second).tolist() == [[0, 1, 2, 2, 7]]


@torch.no_grad()
@pytest.mark.parametrize("name", ["bloom", "falcon, ALiBi of RW", "gpt_neo", "llama"])
def test_a_short_sequence_goes_on_where_a_longer_one_has_ended(name: str) -> None:
    """Of the tokens that run, none is as far along as keys that are kept."""
    lm, cache = tiny.random_model(name), PositionedCache()
    ids, width = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 0, 0, 0, 0, 0]]), 7
    places = torch.arange(width).expand(2, width)
    lm.hidden(ids, places, torch.ones(2, width, width, dtype=torch.bool).tril(), cache=cache)
    seen = torch.tensor([[False] * width + [True], [True] * 2 + [False] * (width - 2) + [True]])
    more = lm.hidden(
        torch.tensor([[0], [14]]), torch.tensor([[0], [2]]), seen[:, None], cache=cache
    )
    body = lm.network.get_submodule(lm.architecture.body)
    whole = body(torch.tensor([[12, 13, 14]])).last_hidden_state[0, -1]
    torch.testing.assert_close(more[1, 0], whole, rtol=0, atol=rounding(whole, tiny.DEPTH))


def test_a_length_is_exact_where_a_limit_is_near() -> None:
    keys = torch.tensor([[0, 1, 2, 1, 2, 0]])
    assert Sight((None,)).length(keys) == 6
    assert Sight((None, 7), longest=9).length(keys) == 6
    assert Sight((None, 5)).length(keys) == 3
    assert Sight((None,), longest=5).length(keys) == 3


class Own(nn.Module):
    """A block with a mask of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.register_buffer("mask", torch.zeros(1, 1, 4, 4, dtype=torch.bool))


def test_own_masks_are_open_for_as_long_as_it_takes() -> None:
    blocks = [Own(), Own()]
    with opened(blocks, "inner.mask"):
        for block in blocks:
            mask = block.inner.get_buffer("mask")
            assert mask.shape == (1, 1, ENDLESS, ENDLESS)
            assert mask[..., -2:, -2:].all()  # one element, which stands for all
    with pytest.raises(RuntimeError, match="stop"), opened(blocks, "inner.mask"):
        raise RuntimeError("stop")
    assert not any(block.inner.get_buffer("mask").any() for block in blocks)
    with opened(blocks, None):
        assert not blocks[0].inner.get_buffer("mask").any()


class Block(nn.Module):
    def forward(self, x: Tensor, **named: Any) -> Tensor:
        return x + named.get("attention_mask", 0)


def test_keywords_are_changed_before_others_see_them_and_must_be_there() -> None:
    block, x, one = Block(), torch.zeros(1), torch.ones(1)
    with hooks.record_calls([block]) as calls:
        with hooks.edit_keywords([block], {0: {"attention_mask": one}}):
            assert block(x, attention_mask=x) == 1
            with pytest.raises(
                ValueError, match=r"Block to be called with \['attention_mask'\] by"
            ):
                block(x)
        assert block(x, attention_mask=x) == 0
    assert [call.kwargs["attention_mask"] is one for call in calls] == [True, False]
    assert not block._forward_pre_hooks
