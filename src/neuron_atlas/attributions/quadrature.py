"""Quadrature rules for an integral over [0, 1]."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

GRADING = 6  # power of the substitution in `graded`
OWN = 1.0  # the node at which a path has reached the neurons' own values


@dataclass(frozen=True)
class Quadrature:
    """Where an integrand is evaluated in (0, 1], and with which weights."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Iterate over the nodes with their weights."""
        return zip(self.nodes, self.weights, strict=True)


END = Quadrature((OWN,), (1.0,))  # the gradient at the end of the path alone


def midpoint(steps: int) -> Quadrature:
    """Return the midpoint rule: its error falls by a factor of four when the steps double.

    Unlike the inclusive sums of the original code bases (Dai et al. 2022; Chen et al. 2024), which
    add `steps` points of `steps - 1` intervals and divide by `steps`, it has no bias to either end.

    Raises:
        ValueError: `steps` is below 1.
    """
    _check(steps)
    nodes = (np.arange(steps) + 0.5) / steps
    return Quadrature(tuple(nodes.tolist()), (1 / steps,) * steps)


def gauss_legendre(steps: int) -> Quadrature:
    """Return the Gauss-Legendre rule, exact for polynomials of degree 2 * steps - 1.

    Raises:
        ValueError: `steps` is below 1.
    """
    _check(steps)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return Quadrature(tuple(((nodes + 1) / 2).tolist()), tuple((weights / 2).tolist()))


def radau(steps: int) -> Quadrature:
    """Return the Radau rule with a node at 1, exact for polynomials of degree 2 * steps - 2.

    The gradient at the node 1 is that at the neurons' own values: one backward pass gives it for
    every layer and path, so a path costs `steps - 1` evaluations of its own.

    Raises:
        ValueError: `steps` is below 1.
    """
    _check(steps)
    legendre = np.polynomial.legendre
    last = np.zeros(steps)
    last[-1] = 1  # P_{n-1}; the nodes are the roots of P_{n-1} - P_n, of which 1 is one
    roots = legendre.legroots([*last, -1]).real
    inner = np.sort(roots)[:-1]
    weights = (1 + inner) / (steps * legendre.legval(inner, last)) ** 2
    nodes = [*((inner + 1) / 2).tolist(), 1.0]
    return Quadrature(tuple(nodes), (*(weights / 2).tolist(), 1 / steps**2))


def graded(steps: int) -> Quadrature:
    """Return Gauss-Legendre in t with a = t^6, whose nodes crowd towards the baseline.

    A model that normalises the output of its MLP (Gemma's post-feedforward norm) does not see the
    length of that output: along the path from a zero baseline F is flat except for a step at the
    very start, which equal steps miss. Our own remedy; the substitution leaves the integral as is.

    Raises:
        ValueError: `steps` is below 1.
    """
    rule = gauss_legendre(steps)
    nodes, weights = np.array(rule.nodes), np.array(rule.weights)
    slope = GRADING * nodes ** (GRADING - 1)
    return Quadrature(tuple((nodes**GRADING).tolist()), tuple((weights * slope).tolist()))


def _check(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a quadrature needs at least 1 step, got {steps}")


RuleName = Literal["midpoint", "gauss_legendre", "radau", "graded"]
RULES = {"midpoint": midpoint, "gauss_legendre": gauss_legendre, "radau": radau, "graded": graded}
