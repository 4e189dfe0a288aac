"""Show on standard error how far long work is, so that nobody takes it for stuck."""

from collections.abc import Iterator, Sequence
from typing import Never, TypeVar

from tqdm import tqdm

T = TypeVar("T")
SHOWN_EVERY = 1.0  # seconds between two states of a bar, at least


def bar(
    what: str, *, total: int | None = None, unit: str = "prompt", done: int = 0
) -> "tqdm[Never]":
    """Return a bar that moves with each call of its `update`; use it in a `with` block.

    Args:
        what: What the work is called.
        total: Units of the whole work; None if nobody knows.
        unit: What is counted.
        done: Units that an earlier run finished; they do not count for the rate.
    """
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        initial=done,
        mininterval=SHOWN_EVERY,
        miniters=1,  # otherwise fast updates at first hide slow ones later
        smoothing=0.1,
    )


def each(items: Sequence[T], what: str, *, unit: str) -> Iterator[T]:
    """Yield the items while a bar shows how many are done."""
    with bar(what, total=len(items), unit=unit) as shown:
        for item in items:
            yield item
            shown.update()
