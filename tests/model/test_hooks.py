"""Recorded values are the neurons, writing them back changes nothing, and hooks are undone."""

import pytest
import torch
from torch import Tensor, nn

from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules

IDS = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 5]])


@torch.no_grad()
def logits(lm: LanguageModel) -> Tensor:
    result: Tensor = lm.network(IDS).logits
    return result


def n_hooks(lm: LanguageModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.network.modules())


def test_recorded_values_times_the_down_projection_are_its_output(lm: LanguageModel) -> None:
    down = site_modules(lm, "down")
    with hooks.record(site_modules(lm, "hidden")) as hidden, hooks.record(down) as output:
        logits(lm)
    assert sorted(hidden) == sorted(output) == list(range(lm.n_layers))
    for layer, (module, _) in enumerate(down):
        assert hidden[layer].shape == (2, 4, lm.n_neurons)
        assert torch.equal(module(hidden[layer]), output[layer])
        assert output[layer].abs().max() > 0.01  # positive control


def test_a_gated_hidden_unit_is_activated_gate_times_up(decoder: LanguageModel) -> None:
    with (
        hooks.record(site_modules(decoder, "hidden")) as hidden,
        hooks.record(site_modules(decoder, "gate")) as gate,
        hooks.record(site_modules(decoder, "up")) as up,
    ):
        logits(decoder)
    for layer in range(decoder.n_layers):
        assert torch.equal(hidden[layer], nn.functional.silu(gate[layer]) * up[layer])


def test_recording_changes_nothing(lm: LanguageModel) -> None:
    clean = logits(lm)
    with hooks.record(site_modules(lm, "hidden")):
        assert torch.equal(logits(lm), clean)


def test_writing_recorded_values_back_is_the_identity(lm: LanguageModel) -> None:
    clean, modules = logits(lm), site_modules(lm, "hidden")
    with hooks.record(modules) as values:
        logits(lm)

    def other(layer: int, add: float) -> hooks.Change:
        return lambda _: values[layer] + add

    with hooks.edit(modules, {i: other(i, 0.0) for i in range(lm.n_layers)}):
        assert torch.equal(logits(lm), clean)
    with hooks.edit(modules, {1: other(1, 1.0)}):
        assert not torch.allclose(logits(lm), clean, atol=1e-3)  # positive control


def test_recorded_values_are_copies(decoder: LanguageModel) -> None:
    modules = site_modules(decoder, "hidden")
    with hooks.record(modules) as values:
        logits(decoder)
    before = values[0].clone()
    with hooks.edit(modules, {0: lambda x: x.zero_()}):
        logits(decoder)
    assert torch.equal(values[0], before)


def test_only_what_reduce_returns_is_kept(decoder: LanguageModel) -> None:
    modules = site_modules(decoder, "hidden")
    with hooks.record(modules) as whole, hooks.record(modules, lambda x: x[:, -1]) as last:
        logits(decoder)
    assert torch.equal(last[2], whole[2][:, -1])


def test_a_recording_may_end_the_run(lm: LanguageModel) -> None:
    modules, ended = site_modules(lm, "hidden"), False
    with hooks.record(modules) as whole:
        logits(lm)
    with hooks.record([(lm.network.get_output_embeddings(), True)]) as above:
        with hooks.record(modules, stop=True) as values:
            logits(lm)
            ended = True
        assert not ended
        assert not above
        logits(lm)
    assert above  # positive control
    assert all(torch.equal(values[i], whole[i]) for i in range(lm.n_layers))
    assert n_hooks(lm) == 0


def test_hooks_are_gone_afterwards_also_after_an_error(decoder: LanguageModel) -> None:
    modules = site_modules(decoder, "hidden")
    with hooks.record(modules):
        assert n_hooks(decoder) == decoder.n_layers
    assert n_hooks(decoder) == 0
    with pytest.raises(RuntimeError, match="stop"), hooks.record(modules):
        raise RuntimeError("stop")
    assert n_hooks(decoder) == 0
    with pytest.raises(IndexError), hooks.edit(modules, {0: torch.neg, 99: torch.neg}):
        pass
    assert n_hooks(decoder) == 0


def test_values_that_fold_batch_and_position_are_refused() -> None:
    folding = nn.Linear(4, 2)
    with (
        pytest.raises(ValueError, match=r"layer 0: expected .*position, neuron\], got \(6, 4\)"),
        hooks.record([(folding, True)]),
    ):
        folding(torch.zeros(6, 4))
