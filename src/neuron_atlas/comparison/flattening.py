"""Nested parameters by dotted name, and what differs between two of them."""

from collections.abc import Iterator, Mapping
from typing import Any


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by dotted name, such as `relation_neurons.k`.

    Lists and empty mappings are values: `languages.it: {}` is how a language is chosen.
    """
    return dict(_leaves(values))


def _leaves(values: Mapping[str, Any], *outer: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = (*outer, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, *path)
        else:
            yield ".".join(path), value


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted names whose values differ, or that only one has, in the order of `a`."""
    ours, theirs = flattened(a), flattened(b)
    names = dict.fromkeys([*ours, *theirs])
    return tuple(n for n in names if n not in ours or n not in theirs or ours[n] != theirs[n])
