"""Quadrature rules integrate what they promise to."""

import numpy as np
import pytest

from neuron_atlas.attributions import quadrature
from neuron_atlas.attributions.quadrature import Quadrature

RULES = [quadrature.midpoint, quadrature.gauss_legendre, quadrature.radau, quadrature.graded]


def integral(rule: Quadrature, power: int) -> float:
    return float(np.dot(rule.weights, np.array(rule.nodes) ** power))


@pytest.mark.parametrize("make", [quadrature.midpoint, quadrature.gauss_legendre])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_constants_and_lines_are_exact(make: type, steps: int) -> None:
    rule = make(steps)
    assert len(rule.nodes) == steps
    assert all(0 < node < 1 for node in rule.nodes)
    assert integral(rule, 0) == pytest.approx(1)
    assert integral(rule, 1) == pytest.approx(1 / 2)


@pytest.mark.parametrize("steps", [2, 5])
def test_gauss_legendre_is_exact_to_twice_its_steps(steps: int) -> None:
    rule = quadrature.gauss_legendre(steps)
    for power in range(2 * steps):
        assert integral(rule, power) == pytest.approx(1 / (power + 1))
    assert integral(rule, 2 * steps) != pytest.approx(1 / (2 * steps + 1), rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_radau_is_exact_to_twice_its_steps_less_one_and_ends_at_one(steps: int) -> None:
    rule = quadrature.radau(steps)
    assert len(rule.nodes) == steps
    assert rule.nodes[-1] == 1
    assert all(0 < node < 1 for node in rule.nodes[:-1])
    for power in range(2 * steps - 1):
        assert integral(rule, power) == pytest.approx(1 / (power + 1))
    assert integral(rule, 2 * steps - 1) != pytest.approx(1 / (2 * steps), rel=1e-9)


def test_doubling_midpoint_steps_cuts_the_error_by_four() -> None:
    errors = [abs(integral(quadrature.midpoint(n), 2) - 1 / 3) for n in (8, 16)]
    assert errors[0] / errors[1] == pytest.approx(4)


def test_the_inclusive_sum_of_the_original_codes_is_biased() -> None:
    """Twenty points of linspace(0, 1), divided by 20: 2.6 % too much for a parabola's slope."""
    nodes = np.linspace(0, 1, 20)
    assert float((nodes**2).sum() / 20) > 1.02 / 3
    assert integral(quadrature.midpoint(20), 2) == pytest.approx(1 / 3, rel=1e-3)


def test_graded_finds_a_step_next_to_the_baseline() -> None:
    """The slope of a saturating function, a / (a + eps)^2, integrates to almost 1."""
    eps = 1e-3

    def found(rule: Quadrature) -> float:
        nodes = np.array(rule.nodes)
        return float(np.dot(rule.weights, eps / (nodes + eps) ** 2))

    assert found(quadrature.graded(12)) == pytest.approx(1 / (1 + eps), rel=0.02)
    assert found(quadrature.gauss_legendre(12)) < 0.6


@pytest.mark.parametrize("make", RULES)
def test_no_steps_are_refused(make: type) -> None:
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        make(0)
