"""Entropy over languages and the selection by it, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.language_specific import selection

LANGUAGES = ("xa", "xb", "xc")
# By neuron: of xa alone, of xa and xb, of all alike, of xc but hardly ever, never, of xb mostly.
BY_HAND = np.array(
    [
        [0.8, 0.6, 0.5, 0.0, 0.0, 0.1],
        [0.0, 0.6, 0.5, 0.0, 0.0, 0.8],
        [0.0, 0.0, 0.5, 0.02, 0.0, 0.1],
    ]
)


def test_entropy_by_hand() -> None:
    found = selection.entropy(BY_HAND)
    mostly = -(0.8 * np.log(0.8) + 2 * 0.1 * np.log(0.1))
    expected = [0.0, np.log(2), np.log(3), 0.0, np.nan, mostly]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_selection_by_hand() -> None:
    """11 of 18 probabilities are at most 0.1, so that more than 0.1 is active."""
    found = selection.select(BY_HAND, LANGUAGES, percentile=10.5 / 18, share=0.5)
    assert found.threshold == 0.1
    assert {code: own.tolist() for code, own in found.sets.items()} == {
        "xa": [0, 1],
        "xb": [5, 1],  # entropies 0.64 and 0.69
        "xc": [],
    }
    assert found.every.tolist() == [0, 1, 5]


def test_fewer_are_selected_if_fewer_are_active_enough() -> None:
    found = selection.select(BY_HAND, LANGUAGES, percentile=15.5 / 18, share=1.0)
    assert found.threshold == 0.6
    assert {code: own.tolist() for code, own in found.sets.items()} == {
        "xa": [0],
        "xb": [5],
        "xc": [],
    }


def test_a_hardly_active_neuron_is_not_selected_though_its_entropy_is_lowest() -> None:
    found = selection.select(BY_HAND, LANGUAGES, percentile=10.5 / 18, share=1.0)
    assert 3 not in found.every
    assert found.entropy[3] == 0
    loose = selection.select(BY_HAND, LANGUAGES, percentile=0.1, share=1.0)
    assert loose.sets["xc"].tolist()[0] == 3  # positive control


def test_members_say_where_neurons_are() -> None:
    found = selection.select(BY_HAND, LANGUAGES, percentile=15.5 / 18, share=1.0)
    table = selection.members(found, BY_HAND, n_neurons=2)
    assert table["language"].tolist() == ["xa", "xb"]
    assert table[["layer", "index"]].to_numpy().tolist() == [[0, 0], [2, 1]]
    assert table["probability"].tolist() == [0.8, 0.8]


@pytest.mark.parametrize("share", [0.02, 0.3])
@given(seed=st.integers(0, 10_000))
def test_what_holds_of_every_selection(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.3, 1.0, size=(4, 100)).round(2)
    languages = ("a", "b", "c", "d")
    found = selection.select(probability, languages, percentile=0.95, share=share)
    assert len(found.every) <= round(share * 100)
    used = found.entropy[~np.isnan(found.entropy)]
    assert ((used >= 0) & (used <= np.log(4) + 1e-12)).all()
    for row, own in zip(probability, found.sets.values(), strict=True):
        assert (row[own] > found.threshold).all()
        assert (np.diff(found.entropy[own]) >= 0).all()
    left_out = np.setdiff1d(np.flatnonzero((probability > found.threshold).any(0)), found.every)
    if len(left_out) and len(found.every):
        assert found.entropy[found.every].max() <= found.entropy[left_out].min()
    doubled = selection.select(
        probability[[1, 0, 2, 3]], ("b", "a", "c", "d"), percentile=0.95, share=share
    )
    assert all((doubled.sets[code] == found.sets[code]).all() for code in languages)


def test_what_cannot_be_selected_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 2 languages"):
        selection.select(BY_HAND[:1], ("xa",), percentile=0.95, share=0.1)
    with pytest.raises(ValueError, match="are they counts"):
        selection.select(BY_HAND * 100, LANGUAGES, percentile=0.95, share=0.1)
