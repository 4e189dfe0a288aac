"""Exact ablation equals one whole forward pass for each neuron, and for each set."""

import numpy as np
import pytest
import torch
from torch import Tensor

from attribution_cases import asked_points, case, every_word, hooked, occluded, own, value, without
from neuron_atlas.attribution_methods import set_ablations, single_ablations
from neuron_atlas.attribution_methods.case import Case
from neuron_atlas.attributions.questions import Point
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from rounding import rounding
from tiny import DEPTH

NEURONS = np.array([0, 7, 23, 24, 30, 48, 71])  # of three layers of 24


@pytest.fixture(scope="module")
def asked(lm: LanguageModel) -> Case:
    return case(lm)


def baselines(lm: LanguageModel, asked: Case, point: Point) -> dict[str, list[Tensor]]:
    return {
        "zero": [torch.zeros(lm.n_layers, lm.n_neurons)],
        "mean": [asked.others],
        "path": list(occluded(lm, point)),
        "input": [own(lm, without(lm, point, every_word(lm)), point.position)],
    }


@torch.no_grad()
def drop(lm: LanguageModel, point: Point, neuron: int, low: Tensor) -> float:
    layer, index = divmod(neuron, lm.n_neurons)
    values = own(lm, point.ids, point.position)[layer]
    changed = values.clone()
    changed[index] = low[layer, index]
    return float(value(lm, point, {layer: values}) - value(lm, point, {layer: changed}))


def test_drops_are_those_of_whole_forward_passes(lm: LanguageModel, asked: Case) -> None:
    found = single_ablations.drops(asked, NEURONS)
    expected = {name: np.zeros(len(NEURONS)) for name in found}
    for point in asked_points(lm):
        for name, paths in baselines(lm, asked, point).items():
            for low in paths:
                expected[name] += [drop(lm, point, n, low) for n in NEURONS.tolist()]
    assert list(found) == ["zero", "mean", "path", "input"]
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(found[name], values, rtol=0, atol=rounding(20, DEPTH))


def test_many_paths_in_small_parts_are_the_same(
    asked: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = single_ablations.drops(asked, NEURONS)
    monkeypatch.setattr(single_ablations, "ROWS", 1)
    for name, values in single_ablations.drops(asked, NEURONS).items():
        torch.testing.assert_close(values, whole[name], rtol=0, atol=rounding(20, DEPTH))


def test_neurons_in_another_order_are_refused(asked: Case) -> None:
    with pytest.raises(ValueError, match="distinct neurons in ascending order"):
        single_ablations.drops(asked, NEURONS[::-1].copy())


@torch.no_grad()
def with_set(lm: LanguageModel, asked: Case, changed: Tensor) -> float:
    total = 0.0
    for point in asked_points(lm):
        total += float(_one_by_one(lm, point, changed, asked.others))
    return total


def _one_by_one(lm: LanguageModel, point: Point, changed: Tensor, to: Tensor) -> Tensor:
    """Set the neurons layer by layer, from the values that the layers below now give."""
    fixed: dict[int, Tensor] = {}
    for layer in range(lm.n_layers):
        now = _seen(lm, point, fixed, layer)
        fixed[layer] = torch.where(changed[layer], to[layer], now)
    return value(lm, point, fixed)


def _seen(lm: LanguageModel, point: Point, fixed: dict[int, Tensor], layer: int) -> Tensor:
    with hooks.record([site_modules(lm, "hidden")[layer]]) as values:
        value(lm, point, fixed)
    return values[0][0, point.position]


def test_targets_with_sets_changed_are_those_of_whole_passes(
    lm: LanguageModel, asked: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = torch.Generator().manual_seed(1)
    shape = (3, lm.n_layers, lm.n_neurons)
    changed = torch.rand(shape, generator=numbers) < torch.tensor([0.1, 0.5, 2.0])[:, None, None]
    expected = [with_set(lm, asked, one) for one in changed]
    found = set_ablations.targets(asked, changed)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(20, DEPTH))
    assert np.ptp(expected) > 0.05
    monkeypatch.setattr(set_ablations, "ROWS", 1)
    again = set_ablations.targets(asked, changed)
    torch.testing.assert_close(again, found, rtol=0, atol=rounding(20, DEPTH))
    assert not hooked(lm)


def test_kept_and_taken_are_complements(asked: Case) -> None:
    n = asked.lm.n_layers * asked.lm.n_neurons
    order = {"up": np.arange(n), "down": np.arange(n)[::-1].copy()}
    kept, taken, none = set_ablations.kept_and_taken(asked, order, [1, n // 2, n])
    clean, near = float(asked.value.sum()), rounding(20, DEPTH)
    assert kept["up"][-1] == pytest.approx(clean, abs=near)
    assert taken["down"][-1] == pytest.approx(none, abs=near)
    assert kept["up"][1] == pytest.approx(taken["down"][1], abs=near)  # halves of all neurons
    assert kept["up"][1] != pytest.approx(kept["down"][1], abs=1e-3)


def test_sizes_are_powers_of_two() -> None:
    assert set_ablations.set_sizes(512, 10_000) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert set_ablations.set_sizes(9, 10_000) == [1, 2, 4, 8]
    assert set_ablations.set_sizes(512, 72) == [1, 2, 4, 8, 16, 32, 64]
    assert set_ablations.set_sizes(1, 72) == [1]
