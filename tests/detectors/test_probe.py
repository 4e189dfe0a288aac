"""The probe in the span of its prompts is the regression on all neurons."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from neuron_atlas.activations import neuron_blocks
from neuron_atlas.activations.files import Recorded
from neuron_atlas.detectors import probe
from neuron_atlas.pipeline import store


@pytest.mark.parametrize("n_relations", [2, 3])
def test_weights_are_those_of_scikit_learn_on_all_layers_at_once(
    tmp_path: Path, n_relations: int
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 40, 30))
    values[1, :, 4] = 7  # a constant neuron
    for layer, one in enumerate(values):
        save_file({"values": torch.from_numpy(one)}, tmp_path / f"layer_{layer:03d}.safetensors")
    store.write_json(tmp_path / "meta.json", {"n_layers": 3})
    rows = np.arange(3, 39)
    relation = [f"r{i % n_relations}" for i in rows]
    found = probe.weights(Recorded(tmp_path, pd.DataFrame()), rows, relation)
    together = StandardScaler().fit_transform(np.concatenate(list(values[:, rows]), axis=1))
    model = LogisticRegression(C=probe.STRENGTH, tol=1e-9, max_iter=5000).fit(together, relation)
    assert found.shape == (n_relations, 3, 30)
    ours = found.flatten(1).numpy()[-len(model.coef_) :]
    np.testing.assert_allclose(ours, model.coef_, atol=1e-4)
    assert np.abs(model.coef_).max() > 0.05  # positive control: the weights are not all near 0
    assert (found[:, 1, 4] == 0).all()
    np.testing.assert_allclose(found.sum(0), 0, atol=1e-6)


def test_blocks_and_a_bound_on_prompts_leave_the_weights_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more prompts than are fitted, those at even distances are."""
    values = np.random.default_rng(0).normal(size=(2, 40, 200))
    for layer, one in enumerate(values):
        save_file({"values": torch.from_numpy(one)}, tmp_path / f"layer_{layer:03d}.safetensors")
    store.write_json(tmp_path / "meta.json", {"n_layers": 2})
    recorded, rows = Recorded(tmp_path, pd.DataFrame()), np.arange(40)
    relation = ["a"] * 20 + ["b"] * 20
    whole = probe.weights(recorded, rows, relation)
    monkeypatch.setattr(neuron_blocks, "BYTES", 1)
    assert len(list(neuron_blocks.neuron_blocks(40, 200))) == 4
    torch.testing.assert_close(probe.weights(recorded, rows, relation), whole, rtol=0, atol=1e-6)
    some = np.union1d(np.linspace(0, 39, 14).astype(np.int64), [0, 20])  # both relations' firsts
    fewer = probe.weights(recorded, some, [relation[i] for i in some.tolist()])
    monkeypatch.setattr(probe, "MOST", 14)
    torch.testing.assert_close(probe.weights(recorded, rows, relation), fewer, rtol=0, atol=1e-6)
    assert not torch.allclose(fewer, whole, atol=1e-3)


def test_a_relation_of_few_prompts_keeps_its_place_beyond_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relation = ["a"] * 103 + ["b"] * 2 + ["c"] * 297
    values = np.random.default_rng(0).normal(size=(len(relation), 30))
    save_file({"values": torch.from_numpy(values)}, tmp_path / "layer_000.safetensors")
    store.write_json(tmp_path / "meta.json", {"n_layers": 1})
    monkeypatch.setattr(probe, "MOST", 60)
    found = probe.weights(Recorded(tmp_path, pd.DataFrame()), np.arange(402), relation)
    assert len(found) == 3
