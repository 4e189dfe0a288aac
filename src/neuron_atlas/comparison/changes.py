"""How much an effect changed between two runs, and whether that is beyond what chance allows."""

from dataclasses import asdict, dataclass
from math import copysign, hypot
from typing import Any, Literal

from neuron_atlas.pages.formats import MINUS, digits, signed
from neuron_atlas.statistics.estimates import Estimate

Size = Literal["identical", "within", "beyond"]
NORMAL = 1.959964  # standard errors in half a 95 % interval of a normal distribution
RULE = (
    "A change is marked where the 95 % interval of the difference excludes 0; that interval is "
    "recovered from the two effects' own (MOVER), as if the runs were independent. Runs that share "
    "facts err together, so that it marks too rarely rather than too often. No correction is made "
    "for the number of effects: of independent runs without any change it would mark 1 in 20."
)


@dataclass(frozen=True)
class Change:
    """The difference of two effects.

    Attributes:
        difference: The second less the first, with its 95 % interval.
        beyond: How far the interval is from 0, with the difference's sign; 0 where it holds 0.
        z: The difference in standard errors, or None where the intervals have no width.
        size: `identical` if effects and intervals are the same numbers; `beyond` if the interval
            excludes 0; else `within`.
    """

    difference: Estimate
    beyond: float
    z: float | None
    size: Size

    def as_dict(self) -> dict[str, Any]:
        """Return the change as JSON has it."""
        return asdict(self)


def change(first: Estimate, second: Estimate) -> Change:
    """Compare two effects by their 95 % intervals.

    The interval of the difference is recovered from the two intervals (MOVER, Zou & Donner 2008,
    Statistics in Medicine 27, equation 8): each limit lies the root of the summed squares of the
    two distances from the difference, which for symmetric normal intervals is 1.96 standard errors.
    That is exact for independent runs. Runs that share facts err together, so that their
    difference varies less than it allows, and a change is marked too rarely rather than too often.

    Args:
        first: The effect of the run that is compared with.
        second: The other's, in the same unit.
    """
    difference = second.mean - first.mean
    low = difference - hypot(second.mean - second.low, first.high - first.mean)
    high = difference + hypot(second.high - second.mean, first.mean - first.low)
    beyond = low if low > 0 else high if high < 0 else 0.0
    return Change(
        Estimate(difference, low, high),
        beyond,
        _z(difference, low, high),
        "identical" if first == second else "beyond" if beyond else "within",
    )


def told(found: Estimate) -> str:
    """Return a difference, to two significant digits, with its interval."""
    n = digits([found.mean, found.low, found.high])
    mean = f"{found.mean:+.2g}".replace("-", MINUS)
    return f"{mean} [{signed(found.low, n)}, {signed(found.high, n)}]"


def _z(difference: float, low: float, high: float) -> float | None:
    """Return the difference in standard errors, by the limit that is nearer to 0."""
    half = difference - low if difference > 0 else high - difference
    return copysign(NORMAL * abs(difference) / half, difference) if half else None
