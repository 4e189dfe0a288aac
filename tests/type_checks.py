"""The check of types and shapes under pytest: beartype's, written once per signature.

jaxtyping gives a checker functions without a body, which have the signature of the function to be
checked and nothing else of it. A function within a function is made anew whenever the outer one
runs; beartype would write its check anew as well, which took more than half the time of some tests.
"""

from collections.abc import Callable
from typing import Any

from beartype import beartype

_CHECKED: dict[tuple[object, ...], Callable[..., Any]] = {}


def checked(function: Any) -> Any:
    """Return the function with its check, or another function of this name and signature."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_freevars:
        return beartype(function)
    names = (code.co_varnames, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    place = (function.__module__, function.__qualname__, code.co_code, code.co_flags)
    key = (*place, *names, *function.__annotations__.items())
    try:
        if key not in _CHECKED:
            _CHECKED[key] = beartype(function)
    except TypeError:  # an annotation that has no hash
        return beartype(function)
    return _CHECKED[key]
