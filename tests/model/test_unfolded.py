"""OPT's blocks, with batch and position apart, compute what transformers' own do."""

import pytest
import torch
from transformers.models.opt.modeling_opt import OPTDecoderLayer

import tiny
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import site_modules
from neuron_atlas.model.unfolded import Unfolded

IDS = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 5]])
NAMES = [name for name in tiny.EVERY if name.startswith("opt")]


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unfolded_blocks_are_transformers_own_to_the_last_bit(
    name: str, dtype: torch.dtype
) -> None:
    theirs, ours = tiny.random_network(name).to(dtype), tiny.random_model(name, dtype=dtype)
    assert torch.equal(ours.network(IDS).logits, theirs(IDS).logits)
    assert [type(block) for block in ours.blocks] == [Unfolded] * 3
    assert list(ours.network.state_dict()) == list(theirs.state_dict())


def test_values_have_their_axes() -> None:
    ours = tiny.random_model("opt")
    with hooks.record(site_modules(ours, "hidden")) as values:
        ours.network(IDS)
    assert values[0].shape == (2, 4, 24)
    theirs = tiny.random_network("opt")
    down = [(theirs.get_submodule(f"model.decoder.layers.{i}.fc2"), True) for i in range(3)]
    with (
        pytest.raises(ValueError, match=r"expected values \[batch, position, neuron\], got \(8"),
        hooks.record(down),
    ):
        theirs(IDS)


def test_other_families_blocks_stay_as_they_are() -> None:
    assert not any(isinstance(m, OPTDecoderLayer) for m in tiny.random_model("xglm").blocks)
