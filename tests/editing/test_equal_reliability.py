"""Shares of edits at which the new answer wins by the margin, and by no more."""

import numpy as np
import pytest

from neuron_atlas.editing.equal_reliability import share_at


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_two_tries_come_near_the_margin(power: float) -> None:
    """A gap that rises from -4 to 16; a straight line alone would be off by several nats."""
    asked: list[float] = []

    def gap(share: float) -> float:
        asked.append(share)
        return -4 + 20 * share**power

    share = share_at(3.0, gap, before=-4.0)
    off = abs(gap(share) - 3)
    line = abs(gap(7 / 20) - 3)
    assert len(asked) == 4  # two of them here
    assert off <= 1e-9 if power == 1 else off < line / 1.5


def test_what_falls_short_stays_whole_and_what_wins_already_is_left_out() -> None:
    assert share_at(3.0, lambda share: share - 4, before=-4.0) == 1
    assert share_at(3.0, lambda share: -4 - share, before=-4.0) == 1
    assert share_at(3.0, lambda _: np.nan, before=3.5) == 0
