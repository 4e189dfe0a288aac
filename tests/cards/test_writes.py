"""Neurons that write what they detect are found; for others p is uniform."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from neuron_atlas.cards import writes
from neuron_atlas.cards.writes import Comparison
from neuron_atlas.neurons.relation_sets import RelationSets

SHAPE, K = (4, 200), 12
NONE = np.empty(0, dtype=np.int64)


def case(
    rng: np.random.Generator, *, shift: float = 0.0, n_draws: int = 99
) -> tuple[Comparison, RelationSets]:
    """Areas of neurons that write at random but for those of the set; areas grow with the size."""
    size = np.exp(rng.standard_normal(SHAPE))
    areas = 0.5 + 0.1 * rng.standard_normal(SHAPE) + 0.05 * np.log(size)
    chosen = rng.permutation(areas.size)[:K].astype(np.int64)
    areas.flat[chosen] += shift
    found = RelationSets({"r": chosen}, size, NONE, "en")
    made = Comparison(
        areas.astype(np.float32)[None, None], ["en"], ["r"], n_draws, int(rng.integers(1 << 30))
    )
    return made, found


def test_p_is_uniform_where_sets_write_at_random() -> None:
    rng = np.random.default_rng(0)
    wholes, singles = [], []
    for _ in range(300):
        made, found = case(rng)
        wholes.append(made.whole(found, "r")["p_value"].iloc[0])
        singles += made.neurons(found, "r")["p_value"].tolist()[:2]
    for p in (wholes, singles):
        assert kstest(p, "uniform").pvalue > 0.01
        assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / len(p))


def test_a_set_that_writes_what_it_detects_is_found() -> None:
    """The positive control of the test above."""
    made, found = case(np.random.default_rng(1), shift=0.5, n_draws=499)
    whole = made.whole(found, "r").iloc[0]
    assert whole["p_value"] == 1 / 500
    assert whole["low"] > whole["random"]
    assert whole["low"] < whole["auc"] < whole["high"]
    neurons = made.neurons(found, "r")
    assert (neurons["p_value"] < 0.05).mean() > 0.8
    assert neurons["neuron"].tolist() == found.sets["r"].tolist()


def test_a_neurons_random_ones_are_of_its_layer_and_neither_banned_nor_of_the_set() -> None:
    areas = np.full((1, 1, 2, 6), 9, dtype=np.float32)
    areas[0, 0, 1] = [0.8, 0.1, 0.2, 0.9, 0.3, 0.99]
    size = np.ones((2, 6))
    found = RelationSets({"r": np.array([6, 9])}, size, np.array([11]), "en")
    table = Comparison(areas, ["en"], ["r"], 99, 0).neurons(found, "r").set_index("neuron")
    assert table.loc[6, "random"] == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert table.loc[6, "p_value"] == 1 / 4


def test_a_neurons_random_ones_are_the_nearest_in_activation() -> None:
    size = np.array([[1.0, 1.1, 5.0, 0.95, 40.0]])
    areas = np.array([[[[0.5, 0.9, 0.1, 0.7, 0.1]]]], dtype=np.float32)
    found = RelationSets({"r": np.array([0])}, size, NONE, "en")
    row = Comparison(areas, ["en"], ["r"], 2, 0).neurons(found, "r").iloc[0]
    assert row["random"] == pytest.approx(0.8)
    assert row["p_value"] == 1.0


def test_holm_is_over_the_relations_of_a_source() -> None:
    rng = np.random.default_rng(2)
    made, found = case(rng, shift=0.3)
    wide = replace(made, areas=np.repeat(made.areas, 2, 1), relations=["r", "s"])
    random = rng.permutation(800)[:K].astype(np.int64)
    both = RelationSets({**found.sets, "s": random}, found.size, NONE, "en")
    _, wholes = writes.compare(wide, {"en": both})
    p, adjusted = wholes["p_value"], wholes["p_holm"]
    assert adjusted[0] == 2 * p[0]
    assert adjusted[1] == max(adjusted[0], p[1])


def test_a_relation_without_answers_to_compare_has_no_number() -> None:
    made, found = case(np.random.default_rng(3))
    empty = replace(made, areas=np.full_like(made.areas, np.nan))
    for one in (empty, replace(made, relations=["other"])):
        neurons, wholes = writes.compare(one, {"en": found})
        assert neurons.empty
        assert wholes["n_neurons"].tolist() == [K]
        assert wholes[["auc", "low", "high", "random", "p_value", "p_holm"]].isna().all(axis=None)


def test_no_set_gives_empty_tables() -> None:
    made, _ = case(np.random.default_rng(4))
    neurons, wholes = writes.compare(made, {"en": RelationSets({}, np.ones(SHAPE), NONE, "en")})
    assert neurons.empty
    assert wholes.empty
