"""What changed between two effects: known answers, laws, and how often chance alone is marked."""

from math import isclose, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.comparison.changes import NORMAL, change, told
from neuron_atlas.statistics.estimates import Estimate

floats = st.floats(-100, 100)
widths = st.floats(0, 50)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    mean = draw(floats)
    return Estimate(mean, mean - draw(widths), mean + draw(widths))


def test_two_runs_that_are_the_same_show_no_change() -> None:
    found = change(Estimate(0.3, 0.1, 0.5), Estimate(0.3, 0.1, 0.5))
    assert (found.size, found.beyond, found.difference.mean) == ("identical", 0.0, 0.0)


def test_a_planted_change_beyond_its_interval_is_marked_and_one_within_is_not() -> None:
    base = Estimate(0.0, -0.3, 0.3)
    allowed = 0.5  # the root of 0.3 ** 2 + 0.4 ** 2
    over = change(base, Estimate(allowed + 0.1, allowed - 0.3, allowed + 0.5))
    assert over.size == "beyond"
    assert isclose(over.beyond, 0.1)
    assert isclose(over.difference.low, 0.1)
    assert isclose(over.difference.high, 1.1)
    under = change(base, Estimate(allowed - 0.1, allowed - 0.5, allowed + 0.3))
    assert (under.size, under.beyond) == ("within", 0.0)
    assert isclose(change(Estimate(0.6, 0.2, 1.0), base).beyond, -0.1)


def test_z_is_that_of_the_difference_of_two_normal_estimates() -> None:
    """For intervals of 1.96 standard errors: (b - a) / sqrt(se_a ** 2 + se_b ** 2)."""
    a, b, se_a, se_b = 0.2, 1.1, 0.3, 0.25
    found = change(
        Estimate(a, a - NORMAL * se_a, a + NORMAL * se_a),
        Estimate(b, b - NORMAL * se_b, b + NORMAL * se_b),
    )
    assert found.z is not None
    assert isclose(found.z, (b - a) / sqrt(se_a**2 + se_b**2))


def test_of_lopsided_intervals_the_sides_that_face_each_other_count() -> None:
    wide_below = change(Estimate(0.0, -9.0, 0.3), Estimate(0.6, 0.2, 9.0))
    assert wide_below.size == "beyond"
    wide_above = change(Estimate(0.0, -0.3, 9.0), Estimate(0.6, -9.0, 1.0))
    assert wide_above.size == "within"


def test_intervals_without_width() -> None:
    one, two = Estimate(1.0, 1.0, 1.0), Estimate(2.0, 2.0, 2.0)
    assert change(one, one).z is None
    found = change(one, two)
    assert (found.size, found.beyond, found.z) == ("beyond", 1.0, None)


@given(estimates(), estimates())
def test_the_other_way_round_a_change_has_the_other_sign(a: Estimate, b: Estimate) -> None:
    there, back = change(a, b), change(b, a)
    assert there.difference.mean == -back.difference.mean
    assert isclose(there.difference.low, -back.difference.high)
    assert there.size == back.size
    assert there.beyond == -back.beyond


@given(estimates(), estimates())
def test_it_is_marked_exactly_if_the_interval_excludes_0(a: Estimate, b: Estimate) -> None:
    found = change(a, b)
    assert (found.size == "beyond") == (found.difference.low > 0 or found.difference.high < 0)
    assert found.difference.low <= found.difference.mean <= found.difference.high
    if found.z is not None and found.size != "identical":
        assert (abs(found.z) > NORMAL) == (found.size == "beyond") or isclose(abs(found.z), NORMAL)


@pytest.mark.parametrize(
    ("shared", "least", "most"), [(0.0, 0.04, 0.06), (0.9, 0.0, 0.001), (-0.9, 0.1, 0.2)]
)
def test_how_often_chance_alone_is_marked(shared: float, least: float, most: float) -> None:
    """1 in 20 of independent runs; hardly ever where errors are shared, as the rule says.

    The third case is the one that the rule does not hold for: errors that go opposite ways.
    """
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal([0, 0], [[1, shared], [shared, 1]], size=20_000)
    marked = [
        change(Estimate(a, a - NORMAL, a + NORMAL), Estimate(b, b - NORMAL, b + NORMAL)).size
        for a, b in draws
    ]
    assert least <= marked.count("beyond") / len(marked) <= most


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(0.6, 0.46, 0.74), "+0.6 [+0.46, +0.74]"),
        (Estimate(-2.4e-6, -0.14, 0.14), "−2.4e−06 [−0.14, +0.14]"),
        (Estimate(0.0, 0.0, 0.0), "+0 [+0.00, +0.00]"),
    ],
)
def test_a_difference_in_words(found: Estimate, text: str) -> None:
    """What differs in the last digits alone is not told as 0."""
    assert told(found) == text
