"""Where the values of JSON are."""

from collections.abc import Iterator
from typing import Any


def paths(value: Any, place: str = "") -> Iterator[str]:
    """Where the values of JSON are, with `[]` for the elements of a list."""
    yield place
    for name, part in value.items() if isinstance(value, dict) else ():
        yield from paths(part, f"{place}.{name}" if place else name)
    for part in value if isinstance(value, list) else ():
        yield from paths(part, f"{place}[]")
