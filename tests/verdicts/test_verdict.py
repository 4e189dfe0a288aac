"""The words of a verdict: when each is said, in both directions, and Holm over the claims."""

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.statistics.estimates import Estimate
from neuron_atlas.statistics.random_effects import MeanTest, t_test
from neuron_atlas.verdicts import verdict
from neuron_atlas.verdicts.conjunction import all_of
from neuron_atlas.verdicts.verdict import Verdict, Word, judge


def mean(effect: float, error: float) -> MeanTest:
    """A mean with 9 degrees of freedom: 2.26 standard errors each way, an mde of 3.15 of them."""
    return t_test(effect, error, 9.0)


@pytest.mark.parametrize(
    ("effect", "error", "word"),
    [
        (-0.5, 0.1, "supported"),
        (0.5, 0.1, "contradicted"),
        (0.0, 0.01, "not supported"),
        (-0.03, 0.005, "not supported"),  # beyond chance, but negligible
        (0.03, 0.005, "not supported"),
        (0.03, 0.03, "not supported"),  # perhaps a gain, surely no harm
        (-0.05, 0.025, "undecided"),
        (-0.05, 0.1, "untestable"),
        (-0.5, 0.2, "supported"),  # its mde is large, and yet it is significant
    ],
)
def test_each_word(effect: float, error: float, word: Word) -> None:
    found = mean(effect, error)
    assert judge(found, "harm", negligible=0.05, interest=0.08) == word
    mirrored = mean(-effect, error)
    assert judge(mirrored, "gain", negligible=0.05, interest=0.08) == word


@given(
    effect=st.floats(-1, 1), error=st.floats(0.001, 1), claimed=st.sampled_from(["harm", "gain"])
)
def test_interval_p_and_word_never_disagree(
    effect: float, error: float, claimed: verdict.Claimed
) -> None:
    found = mean(effect, error)
    word = judge(found, claimed, negligible=0.05, interest=0.08)
    excludes = found.effect.low > 0 or found.effect.high < 0
    if word in ("supported", "contradicted"):
        assert excludes
        assert found.p_value < 0.05
    if word in ("undecided", "untestable"):
        assert found.p_value > 0.05 - 1e-9
        assert (word == "untestable") == (found.mde > 0.08)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.001, 1)), min_size=1, max_size=4))
def test_a_conjunctions_shown_interval_and_p_never_disagree(
    pairs: list[tuple[float, float]],
) -> None:
    contrasts = {str(i): mean(*pair) for i, pair in enumerate(pairs)}
    joint = all_of(contrasts, "harm", negligible=0.05, interest=0.08)
    excludes = joint.shown.effect.low > 0 or joint.shown.effect.high < 0
    if abs(joint.p_value - 0.05) > 1e-9:
        assert excludes == (joint.p_value < 0.05)
    if joint.word == "supported":
        assert all(found.effect.high < 0 for found in contrasts.values())


def test_a_conjunction_needs_all_and_shows_what_decides() -> None:
    both = {"a": mean(-0.5, 0.05), "b": mean(-0.5, 0.1)}
    found = all_of(both, "harm", negligible=0.05, interest=0.08)
    assert (found.word, found.name, found.p_value) == ("supported", "a", both["b"].p_value)
    assert found.mde == both["b"].mde
    fails = all_of(both | {"b": mean(0.0, 0.01)}, "harm", negligible=0.05, interest=0.08)
    assert (fails.word, fails.name) == ("not supported", "b")
    blind = all_of(both | {"b": mean(0.0, 0.5)}, "harm", negligible=0.05, interest=0.08)
    assert blind.word == "untestable"
    said = blind.verdict("Measured.", 0.08)
    assert said.reason
    assert "above the 0.08 of interest" in said.because


def test_what_is_not_known_is_none_in_json() -> None:
    as_json = verdict.untestable("No facts").as_dict()
    assert as_json["reason"] == "No facts"
    assert {as_json[key] for key in ("effect", "low", "p_value", "mde")} == {None}
    assert Verdict("undecided", Estimate(nan, nan, nan), nan, "").as_dict()["effect"] is None
