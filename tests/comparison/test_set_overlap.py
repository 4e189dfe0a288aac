"""Neuron sets of two runs: known answers, chance, and models that cannot be compared."""

import numpy as np
import pytest

from made_runs import sets
from neuron_atlas.comparison.set_overlap import set_overlaps
from neuron_atlas.comparison.stored_sets import StoredSets


def test_known_answers_by_hand() -> None:
    pooled, english = set_overlaps(sets(1, 2, 3, 4), sets(3, 4, 5))
    assert (pooled.source, pooled.relation, english.source) == ("pooled", "capital", "en")
    assert (pooled.sizes, pooled.shared) == ((4, 3), 2)
    assert pooled.jaccard == 2 / 5


def test_the_same_sets_have_all_in_common_and_no_others_have() -> None:
    (same, _) = set_overlaps(sets(1, 2), sets(2, 1))
    (none, _) = set_overlaps(sets(1, 2), sets(3, 4))
    assert (same.jaccard, none.jaccard, none.shared) == (1.0, 0.0, 0)


def test_chance_is_the_mean_over_random_sets() -> None:
    rng = np.random.default_rng(0)
    first = sets(*range(30))
    drawn = [sets(*rng.choice(100, 20, replace=False).tolist()) for _ in range(400)]
    found = [set_overlaps(first, other)[0] for other in drawn]
    assert np.mean([one.jaccard for one in found]) == pytest.approx(found[0].chance, rel=0.03)


def test_a_set_that_one_run_does_not_have_is_not_compared() -> None:
    more = StoredSets({**sets(1).sets, ("pooled", "currency"): np.array([7])}, 100, "m")
    found = {(one.source, one.relation): one for one in set_overlaps(sets(1), more)}
    assert found["pooled", "currency"].sizes == (0, 1)
    assert found["pooled", "currency"].jaccard is None
    assert found["pooled", "capital"].jaccard == 1


@pytest.mark.parametrize("other", [sets(1, model="n"), sets(1, n_neurons=99)])
def test_neurons_of_other_models_are_not_compared(other: StoredSets) -> None:
    with pytest.raises(ValueError, match="different models"):
        set_overlaps(sets(1), other)
