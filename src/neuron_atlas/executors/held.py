"""What a process makes once and holds while it lives, such as a model that many parts need."""

from collections.abc import Callable, Hashable
from typing import Any

_values: dict[Hashable, Any] = {}


def once(key: Hashable, make: Callable[[], Any]) -> Any:
    """Return what `make` has made for a key; it is called for the first who asks."""
    if key not in _values:
        _values[key] = make()
    return _values[key]
