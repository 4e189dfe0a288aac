"""The sample holds every method's best and as many others of each layer."""

import numpy as np

from neuron_atlas.attribution_methods.sample import best, sample

TOPS = [np.array([3, 11, 12]), np.array([12, 25])]


def drawn(tops: list[np.ndarray], per_layer: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return sample(tops, n_layers=3, n_neurons=10, per_layer=per_layer, rng=rng)


def test_the_best_come_first_and_of_equal_ones_the_first() -> None:
    assert best(np.array([0.5, 2.0, -1.0, 2.0, 0.5]), 4).tolist() == [1, 3, 0, 4]
    assert best(np.array([1.0, 2.0]), 5).tolist() == [1, 0]


def test_a_sample_holds_all_tops_and_others_of_each_layer() -> None:
    found = drawn(TOPS)
    assert (np.diff(found) > 0).all()
    strong = np.unique(np.concatenate(TOPS))
    assert np.isin(strong, found).all()
    rest = np.setdiff1d(found, strong)
    assert np.bincount(rest // 10, minlength=3).tolist() == [2, 2, 2]


def test_a_layer_gives_no_more_than_it_has() -> None:
    assert drawn(TOPS, per_layer=50).tolist() == list(range(30))
    assert drawn(TOPS, per_layer=0).tolist() == [3, 11, 12, 25]


def test_another_top_leaves_the_other_draws_as_they_are() -> None:
    first = drawn([np.array([3])])
    second = drawn([np.array([3, 14])])
    assert len(set(first) - set(second)) <= 1


def test_every_neuron_has_the_same_chance() -> None:
    counts = np.zeros(30)
    for seed in range(600):
        counts[drawn([np.array([3])], seed=seed)] += 1
    assert counts[3] == 600
    free = np.delete(counts, 3)
    assert abs(free[:9] / 600 - 2 / 9).max() < 0.07
    assert abs(free[9:] / 600 - 2 / 10).max() < 0.07
