"""Replayed blocks: the same numbers bit by bit, and the blocks their own again afterwards."""

import numpy as np
import pytest
import torch

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.replay import Replay
from neuron_atlas.model_edits.value_edits import ValueEdit, applied
from neuron_atlas.scoring import log_probability
from references import queries


def test_a_change_above_is_read_bit_by_bit_alike(lm: LanguageModel) -> None:
    asked, replay = queries(lm), Replay(lm)
    width, layer = lm.network.config.hidden_size, 1
    delta = torch.randn(1, width, generator=torch.Generator().manual_seed(0))
    edit = ValueEdit(np.array([layer * lm.n_neurons + 3]), delta)
    with replay.record():
        clean = log_probability.log_probabilities(lm, asked, n_tokens=30)  # several batches
    for _ in range(2):
        with applied(lm, edit):
            whole = log_probability.log_probabilities(lm, asked, n_tokens=30)
            with replay.below(layer):
                found = log_probability.log_probabilities(lm, asked, n_tokens=30)
        for a, b in zip(found, whole, strict=True):
            np.testing.assert_array_equal(a, b)
    assert max(np.abs(a - b).max() for a, b in zip(found, clean, strict=True)) > 1e-4
    with replay.below(lm.n_layers), applied(lm, edit):  # replayed blocks see no change at all
        still = log_probability.log_probabilities(lm, asked, n_tokens=30)
    for a, b in zip(still, clean, strict=True):
        np.testing.assert_array_equal(a, b)


def test_blocks_are_their_own_again_after_an_error(decoder: LanguageModel) -> None:
    replay, asked = Replay(decoder), queries(decoder)
    before = log_probability.log_probabilities(decoder, asked)
    for opened in (replay.record(), replay.below(2)):
        with pytest.raises(RuntimeError, match="stop"), opened:
            raise RuntimeError("stop")
    assert not any("forward" in vars(block) for block in decoder.blocks)
    np.testing.assert_array_equal(log_probability.log_probabilities(decoder, asked)[0], before[0])
