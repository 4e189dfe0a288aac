"""Value edits: what they write, and that they leave no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch

import planted
import tiny
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits import value_edits
from neuron_atlas.model_edits.value_edits import ValueEdit, applied
from neuron_atlas.scoring import log_probability
from references import queries
from rounding import rounding


def an_edit(lm: LanguageModel, *, seed: int = 0) -> ValueEdit:
    rng = np.random.default_rng(seed)
    neurons = rng.choice(lm.n_layers * lm.n_neurons, size=6, replace=False)
    delta = rng.normal(size=(6, lm.network.config.hidden_size))
    return ValueEdit(neurons, torch.from_numpy(delta).float())


def weights(lm: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: p.clone() for name, p in lm.network.state_dict().items()}


def assert_same_bits(lm: LanguageModel, before: dict[str, torch.Tensor]) -> None:
    for name, value in lm.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_an_edit_is_undone_bit_by_bit_also_after_an_error(lm: LanguageModel) -> None:
    before, asked = weights(lm), queries(lm)
    clean = log_probability.log_probabilities(lm, asked)
    with applied(lm, an_edit(lm)):
        edited = log_probability.log_probabilities(lm, asked)
        with applied(lm, an_edit(lm, seed=1)):
            pass
        np.testing.assert_array_equal(log_probability.log_probabilities(lm, asked)[0], edited[0])
    assert_same_bits(lm, before)
    with pytest.raises(RuntimeError, match="stop"), applied(lm, an_edit(lm)):
        raise RuntimeError("stop")
    assert_same_bits(lm, before)
    np.testing.assert_array_equal(log_probability.log_probabilities(lm, asked)[0], clean[0])
    assert np.abs(edited[0] - clean[0]).max() > 0.01  # positive control


def test_an_edit_in_bfloat16_is_undone_bit_by_bit() -> None:
    """Subtracting what was added would not give the old weights back in 8 bits."""
    lm = tiny.random_model("gpt2", dtype=torch.bfloat16)
    before = weights(lm)
    with applied(lm, an_edit(lm)):
        pass
    assert_same_bits(lm, before)


def test_an_edit_changes_only_what_its_neurons_write(lm: LanguageModel) -> None:
    """Conv1D (GPT-2) and Linear alike: the layer's output moves by value x delta, no bias by it."""
    edit, layer = an_edit(lm), 0
    inside = edit.neurons // lm.n_neurons == layer
    rows = edit.neurons[inside] % lm.n_neurons
    down = language_model.site_modules(lm, "hidden")[layer][0]
    x = torch.randn(4, lm.n_neurons, generator=torch.Generator().manual_seed(0))
    clean = down(x)
    with applied(lm, edit):
        found = down(x)
    near = rounding(found, 2 * lm.n_neurons)  # two products over the neurons
    torch.testing.assert_close(found - clean, x[:, rows] @ edit.delta[inside], atol=near, rtol=0)
    assert inside.any()


def test_the_model_on_disk_is_not_touched(tmp_path: Path) -> None:
    folder = planted.save(tmp_path / "model")
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    lm = language_model.load(folder)
    with applied(lm, an_edit(lm)):
        pass
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before


def test_malformed_edits_are_refused(decoder: LanguageModel) -> None:
    width = decoder.network.config.hidden_size
    with (
        pytest.raises(ValueError, match="finite"),
        applied(decoder, ValueEdit(np.array([0]), torch.full((1, width), torch.nan))),
    ):
        pass
    with (
        pytest.raises(ValueError, match="twice"),
        applied(decoder, ValueEdit(np.array([0, 0]), torch.zeros(2, width))),
    ):
        pass


def test_vectors_are_the_columns_of_the_down_projection(lm: LanguageModel) -> None:
    down = language_model.site_modules(lm, "hidden")[1][0]
    one = torch.zeros(1, lm.n_neurons)
    one[0, 3] = 1
    written = down(one) - down(torch.zeros_like(one))
    vector = value_edits.vectors(lm, np.array([lm.n_neurons + 3]))
    torch.testing.assert_close(written, vector, atol=1e-5, rtol=1e-5)
