"""Find the gains with which something that grows with its gain has the wanted size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

LARGEST = 20.0  # gain
ROUNDS = 40  # of the search at most; few are needed, and one where size is proportional to gain
ACCURACY = 1e-5  # of the wanted size
GROWTH = (1.0, 1.5, 4.0)  # of a gain in a round: at first at least, later at least, at most

Sizes = Float64[np.ndarray, "*any"]


def wanted_gains(
    size_of: Callable[[Sizes], Float[np.ndarray, "*any"]], wanted: Float[np.ndarray, "*any"]
) -> Sizes:
    """Return the gains at which the sizes are the wanted ones: regula falsi, each by itself.

    The Illinois variant (Dowell and Jarratt 1971, BIT 11), within brackets that begin at 0, so
    that a size need not grow steadily with its gain.

    Args:
        size_of: Returns the sizes at some gains, each from its own gain alone; 0 at gain 0.
        wanted: The wanted sizes, at least 0.

    Returns:
        Gains in [0, LARGEST]. What has no size keeps the gain 1. What would need more than
        `LARGEST` gets that, and stays smaller than wanted.
    """
    gain, brackets = np.ones(wanted.shape), _Brackets.around_nothing(wanted)
    for i in range(ROUNDS):
        size = np.asarray(size_of(gain), dtype=np.float64)
        off = size - wanted
        settled = (np.abs(off) <= ACCURACY * wanted) | (size == 0)
        settled |= (gain == LARGEST) & (off < 0)
        if settled.all():
            break
        brackets.take(gain, off)
        ratio = wanted / np.where(size > 0, size, 1)  # right at once where size is proportional
        larger = np.minimum(gain * np.clip(ratio, GROWTH[min(i, 1)], GROWTH[2]), LARGEST)
        gain = np.where(settled, gain, brackets.between(larger))
    return gain


@dataclass
class _Brackets:
    """Gains whose sizes are too small and too large, and by how much they are off.

    Attributes:
        low: The largest gain with too small a size so far.
        below: By how much that is off, < 0.
        high: The smallest gain with too large a size so far; NaN before there is one.
        above: By how much that is off, > 0.
        side: Which of the two was moved last: 1 the high one, -1 the low one.
    """

    low: Sizes
    below: Sizes
    high: Sizes
    above: Sizes
    side: Sizes

    @classmethod
    def around_nothing(cls, wanted: Float[np.ndarray, "*any"]) -> "_Brackets":
        """Return what is known before anything is tried: no gain, no size."""
        zero, unknown = np.zeros(wanted.shape), np.full(wanted.shape, np.nan)
        return cls(zero, -wanted.astype(np.float64), unknown, unknown, zero)

    def take(self, gain: Sizes, off: Sizes) -> None:
        """Move one end to each gain; where that end was moved before, halve the other's value."""
        over = off > 0
        side = np.where(over, 1.0, -1.0)
        share = np.where(self.side == side, 0.5, 1.0)
        self.low, self.below = (
            np.where(over, self.low, gain),
            np.where(over, share * self.below, off),
        )
        self.high, self.above = (
            np.where(over, gain, self.high),
            np.where(over, off, share * self.above),
        )
        self.side = side

    def between(self, larger: Sizes) -> Sizes:
        """Return where the line between both ends is 0; the larger gain where one is missing."""
        inside = self.low - self.below * (self.high - self.low) / (self.above - self.below)
        return np.where(np.isnan(self.high), larger, inside)
