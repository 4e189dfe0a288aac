"""Addresses of neurons, selections, and random sets that match a chosen one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.neurons import addresses, controls
from neuron_atlas.neurons.addresses import Neuron

SIZE = np.random.default_rng(0).lognormal(size=(4, 100))


def a_set(seed: int, k: int = 20, n: int = SIZE.size) -> np.ndarray:
    return np.random.default_rng(seed).choice(n, size=k, replace=False)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), unique=True))
def test_flat_indices_and_neurons_are_the_same_thing(pairs: list[tuple[int, int]]) -> None:
    named = [Neuron(*pair) for pair in pairs]
    flat = addresses.to_flat(named, 7)
    assert addresses.to_neurons(flat, 7) == named
    assert flat.argsort().tolist() == sorted(range(len(named)), key=named.__getitem__)


def test_flat_index_by_hand() -> None:
    assert addresses.to_flat([Neuron(2, 3), Neuron(0, 1)], 10).tolist() == [23, 1]
    with pytest.raises(ValueError, match=r"index in \[0, 10\), got Neuron\(layer=0, index=10\)"):
        addresses.to_flat([Neuron(0, 10)], 10)


def test_top_k_keeps_the_first_of_an_order() -> None:
    order = torch.tensor([4, 0, 2])
    assert addresses.top_k(order, 2).tolist() == [4, 0]
    for k in (0, 4):
        with pytest.raises(ValueError, match=rf"k must be in \[1, 3\].*got {k}"):
            addresses.top_k(order, k)


def test_layer_histogram_counts_every_neuron_once() -> None:
    counts = addresses.layer_histogram(np.array([23, 1, 20]), n_layers=4, n_neurons=10)
    assert counts.tolist() == [1, 0, 2, 0]
    with pytest.raises(ValueError, match=r"\[0, 20\), got 23"):
        addresses.layer_histogram(np.array([1, 23]), n_layers=2, n_neurons=10)
    with pytest.raises(ValueError, match="got 1 twice"):
        addresses.layer_histogram(np.array([1, 1]), n_layers=2, n_neurons=10)


def draws(chosen: np.ndarray, strength: np.ndarray = SIZE, **how: Any) -> np.ndarray:
    return controls.matched_random(
        chosen, strength, **{"names": ("a stage",), "seed": 0, "n_draws": 5, **how}
    )


def nearest(neuron: int, strength: np.ndarray, free: np.ndarray, n: int) -> list[int]:
    """The `n` free neurons of a neuron's layer with the closest strength, the obvious way."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(strength.ravel()), -1e6)
    same = free[free // strength.shape[1] == neuron // strength.shape[1]]
    return same[np.abs(logs[same] - logs[neuron]).argsort(kind="stable")][:n].tolist()


@given(st.integers(0, 10_000), st.integers(1, 60), st.booleans())
@settings(max_examples=40)
def test_draws_are_of_the_layer_and_free_and_each_once(seed: int, n: int, coarse: bool) -> None:
    strength = np.round(SIZE) if coarse else SIZE  # with ties and zeros
    chosen, exclude = a_set(seed), a_set(seed + 1)
    both = np.concatenate([exclude, exclude])
    drawn = draws(chosen, strength, seed=seed, n_nearest=n, exclude=both)
    assert (drawn // 100 == chosen // 100).all()
    assert not np.isin(drawn, [*chosen, *exclude]).any()
    assert all(len(set(row)) == len(chosen) for row in drawn.tolist())
    again = draws(chosen, strength, seed=seed, n_nearest=n, exclude=exclude, n_draws=9)
    assert (again[:5] == drawn).all()
    free = np.setdiff1d(np.arange(SIZE.size), [*chosen, *exclude])
    for row in drawn.tolist():
        taken: list[int] = []
        for neuron, one in zip(chosen.tolist(), row, strict=True):
            left = nearest(neuron, strength, np.setdiff1d(free, taken), n)
            first = set(nearest(neuron, strength, free, n)) - set(taken)
            assert one in (first or left)
            taken.append(one)


def test_seeds_names_and_draws_differ_and_reach_every_candidate_alike() -> None:
    drawn = draws(np.arange(5), np.ones((1, 20)), n_draws=6000)
    counts = np.bincount(drawn.ravel(), minlength=20)[5:]
    assert (drawn.std(axis=0) > 0).all()
    assert counts == pytest.approx(np.full(15, 2000), rel=0.1)
    chosen = a_set(0)
    for other in ({"seed": 1}, {"names": ("a stage", 1)}, {"names": ("another",)}):
        assert (draws(chosen, **other) == draws(chosen)).mean() < 0.3
    pairs = draws(np.array([0, 1]), np.ones((1, 1002)), n_nearest=1000, n_draws=5000).T
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.05  # two neurons' draws are independent


def test_one_neuron_more_or_less_changes_its_own_match_alone() -> None:
    apart = np.array([10, 150, 250, 350])  # a layer each: none can want another's neuron
    before, after = draws(apart), draws(np.array([10, 150, 250, 390]))
    assert (before[:, :3] == after[:, :3]).all()
    assert (before[:, 3] != after[:, 3]).any()
    assert (draws(apart[::-1])[:, ::-1] == before).all()


def test_a_replaced_neuron_leaves_nearly_all_other_matches_alone() -> None:
    strength, same = np.random.default_rng(1).lognormal(size=(18, 500)), []
    for seed in range(20):
        chosen = a_set(seed, 100, strength.size)
        other = chosen.copy()
        other[7] = np.setdiff1d(np.arange(strength.size), chosen)[seed * 400]
        before, after = (draws(c, strength, n_draws=20) for c in (chosen, other))
        same.append(np.delete(before == after, 7, axis=1).mean())
    assert min(same) > 0.9
    assert np.mean(same) > 0.99


def test_matching_brings_the_drawn_much_closer_than_the_layer_alone() -> None:
    chosen = np.flatnonzero(SIZE.ravel() > 2)[::3]
    gap = lambda n: np.abs(  # noqa: E731
        np.log(SIZE.flat[draws(chosen, n_nearest=n, n_draws=50)] / SIZE.flat[chosen])
    ).mean()
    assert gap(10) < 0.2 * gap(100)
    free = np.setdiff1d(np.arange(400), chosen)
    by_layer = SIZE.flat[draws(chosen, n_nearest=100, n_draws=50)].mean()
    assert by_layer == pytest.approx(SIZE.flat[free].mean(), rel=0.15)


def test_scale_does_not_matter_and_zeros_match_zeros() -> None:
    strength, chosen = SIZE.copy(), a_set(3)
    strength[:, :50] = 0.0
    assert (draws(chosen, strength * 1024) == draws(chosen, strength)).all()
    silent = np.arange(5)
    assert (draws(silent, strength, n_nearest=10) < 50).all()
    assert (draws(silent + 60, strength, n_nearest=10) >= 50).all()


def test_where_the_nearest_run_out_further_ones_are_taken() -> None:
    drawn = draws(np.array([9, 10]), np.exp(np.arange(12.0))[None], n_draws=40, n_nearest=1)
    assert drawn.tolist() == [[8, 11]] * 40
    drawn = draws(np.array([9, 10, 11]), np.exp(np.arange(12.0))[None], n_draws=40, n_nearest=1)
    assert drawn.tolist() == [[8, 7, 6]] * 40


def test_a_full_layer_is_refused_but_one_neuron_fewer_is_not() -> None:
    size = np.ones((2, 4))
    with pytest.raises(ValueError, match="layer 1 has 1 neurons left to match 2 chosen ones"):
        draws(np.array([4, 5]), size, exclude=np.array([7]))
    assert draws(np.array([4]), size, exclude=np.array([7])).shape == (5, 1)


def test_nothing_chosen_draws_nothing() -> None:
    assert draws(np.array([], dtype=np.int64)).shape == (5, 0)


def test_bad_arguments_are_refused() -> None:
    chosen = np.array([0])
    with pytest.raises(ValueError, match="n_draws must be at least 1"):
        draws(chosen, n_draws=0)
    with pytest.raises(ValueError, match="n_nearest must be at least 1, got 0"):
        draws(chosen, n_nearest=0)
    with pytest.raises(ValueError, match=r"\[0, 400\), got 400"):
        draws(chosen, exclude=np.array([400]))
    with pytest.raises(ValueError, match="got 0 twice"):
        draws(np.array([0, 0]))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"got {bad} at Neuron\(layer=0, index=2\)"):
            draws(chosen, np.array([[1.0, 0.0, bad]]))
    with pytest.raises(ValueError, match="factor must be above 0"):
        controls.massive(SIZE, 0.0)


def test_massive_flags_a_planted_unit_only() -> None:
    size = np.random.default_rng(1).uniform(1, 2, size=(3, 50))
    assert not controls.massive(size, 10.0).any()
    size[1, 7] = 1000
    assert np.argwhere(controls.massive(size, 10.0)).tolist() == [[1, 7]]
    assert (controls.massive(size * 1e-3, 10.0) == controls.massive(size, 10.0)).all()
