"""Addresses of neurons, selections, and random sets that match a chosen one."""

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


def test_bins_are_even_and_ordered_by_size() -> None:
    bins = controls.size_bins(SIZE, 10)
    for size, b in zip(SIZE, bins, strict=True):
        assert np.bincount(b).tolist() == [10] * 10
        assert (np.diff(b[size.argsort()]) >= 0).all()


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=40)
def test_matched_draws_match_layer_and_bin(seed: int, n_bins: int) -> None:
    chosen, exclude = a_set(seed), a_set(seed + 1)
    draw = lambda: controls.matched_random(  # noqa: E731
        chosen,
        SIZE,
        rng=np.random.default_rng(seed),
        n_draws=5,
        n_bins=n_bins,
        exclude=np.concatenate([exclude, exclude]),
    )
    drawn, bins = draw(), controls.size_bins(SIZE, n_bins).ravel()
    assert (drawn // 100 == chosen // 100).all()
    free = np.setdiff1d(np.arange(SIZE.size), [*chosen, *exclude])
    assert np.isin(drawn, free).all()
    assert all(len(set(row)) == len(chosen) for row in drawn.tolist())
    key = np.arange(SIZE.size) // 100 * n_bins + bins
    room = np.bincount(key[free], minlength=4 * n_bins)
    enough = (np.bincount(key[chosen], minlength=4 * n_bins) <= room)[key[chosen]]
    if enough.all():  # else a bin's overflow may push into the next
        assert (bins[drawn] == bins[chosen]).all()
    assert (drawn == draw()).all()


def test_draws_differ_and_reach_every_free_neuron_alike() -> None:
    chosen = np.arange(5)
    drawn = controls.matched_random(
        chosen, np.ones((1, 20)), rng=np.random.default_rng(0), n_draws=6000, n_bins=1
    )
    counts = np.bincount(drawn.ravel(), minlength=20)[5:]
    assert (drawn.std(axis=0) > 0).all()
    assert counts == pytest.approx(np.full(15, 2000), rel=0.1)


def test_matching_by_size_matters() -> None:
    chosen = np.flatnonzero(SIZE.ravel() > 3)
    draw = lambda n_bins: controls.matched_random(  # noqa: E731
        chosen, SIZE, rng=np.random.default_rng(0), n_draws=50, n_bins=n_bins
    )
    free = np.setdiff1d(np.arange(400), chosen)
    by_layer, by_size = SIZE.flat[draw(1)].mean(), SIZE.flat[draw(4)].mean()
    assert by_layer < by_size < SIZE.flat[chosen].mean()
    assert by_layer == pytest.approx(SIZE.flat[free].mean(), rel=0.1)


def test_a_full_bin_overflows_into_the_nearest() -> None:
    size = np.arange(12.0)[None]  # bins of 3: {0-2}, {3-5}, {6-8}, {9-11}
    drawn = controls.matched_random(
        np.array([9, 10]), size, rng=np.random.default_rng(0), n_draws=40, n_bins=4
    )
    assert {tuple(sorted(row)) for row in drawn.tolist()} == {(6, 11), (7, 11), (8, 11)}


def test_a_full_layer_is_refused_but_one_neuron_fewer_is_not() -> None:
    size = np.ones((2, 4))
    draw = lambda k: controls.matched_random(  # noqa: E731
        np.arange(4, 4 + k),
        size,
        rng=np.random.default_rng(0),
        n_draws=1,
        n_bins=2,
        exclude=np.array([7]),
    )
    with pytest.raises(ValueError, match="layer 1 has 1 neurons left to match 2 chosen ones"):
        draw(2)
    assert draw(1).shape == (1, 1)


def test_nothing_chosen_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    empty = np.array([], dtype=np.int64)
    assert controls.matched_random(empty, SIZE, rng=rng, n_draws=3).shape == (3, 0)


def test_bad_arguments_are_refused() -> None:
    rng, chosen = np.random.default_rng(0), np.array([0])
    with pytest.raises(ValueError, match="n_draws must be at least 1"):
        controls.matched_random(chosen, SIZE, rng=rng, n_draws=0)
    with pytest.raises(ValueError, match=r"\[0, 400\), got 400"):
        controls.matched_random(chosen, SIZE, rng=rng, n_draws=1, exclude=np.array([400]))
    with pytest.raises(ValueError, match=r"n_bins must be in \[1, 100\]"):
        controls.matched_random(chosen, SIZE, rng=rng, n_draws=1, n_bins=101)
    with pytest.raises(ValueError, match=r"got -1.0 at Neuron\(layer=0, index=2\)"):
        controls.size_bins(np.array([[1.0, 0.0, -1.0]]), 2)
    with pytest.raises(ValueError, match="factor must be above 0"):
        controls.massive(SIZE, 0.0)


def test_massive_flags_a_planted_unit_only() -> None:
    size = np.random.default_rng(1).uniform(1, 2, size=(3, 50))
    assert not controls.massive(size, 10.0).any()
    size[1, 7] = 1000
    assert np.argwhere(controls.massive(size, 10.0)).tolist() == [[1, 7]]
    assert (controls.massive(size * 1e-3, 10.0) == controls.massive(size, 10.0)).all()
