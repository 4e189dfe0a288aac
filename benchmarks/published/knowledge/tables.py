"""Tables and numbers in Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from published.knowledge.contrasts import left

Steps = list[Mapping[str, Any]]


def table(
    corner: str,
    words: Mapping[str, str],
    shown: Mapping[str, Steps],
    *,
    factor: float,
    digits: int,
) -> Iterator[str]:
    """Yield a table with a row for each control and two columns for each of what is shown."""
    yield row([corner, *(cell for name in shown for cell in (name, "left"))])
    yield row(["---"] * (1 + 2 * len(shown)))
    for i, (_, says) in enumerate(words.items()):
        cells = [
            cell
            for steps in shown.values()
            for cell in (interval(steps[i], factor, digits), left(steps[i], steps[0]) if i else "")
        ]
        yield row([says, *cells])
    yield ""


def interval(one: Mapping[str, Any], factor: float, digits: int) -> str:
    """Return a contrast's mean and its interval, times a factor."""
    if one["mean"] is None:
        return "none"
    mean, low, high = (factor * one[key] for key in ("mean", "low", "high"))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def percent(value: float | None) -> str:
    """Return a share as a signed percentage."""
    return "none" if value is None else f"{100 * value:+.1f} %"


def number(value: float | None, digits: int) -> str:
    """Return a number with so many digits."""
    return "none" if value is None else f"{value:.{digits}f}"


def row(cells: list[Any]) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"
