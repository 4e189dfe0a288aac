"""Types and shapes are checked in every function, and in functions within functions each time."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from type_checks import checked


def outer(width: int) -> Callable[[Tensor, int], Tensor]:
    """Return a function that gives so many columns."""

    @jaxtyped(typechecker=checked)
    def inner(x: Float[Tensor, "row column"], n: int = width) -> Float[Tensor, "row {n}"]:
        return x[:, :n]

    return inner


def test_a_function_made_again_is_checked_again() -> None:
    rows = torch.ones(2, 3)
    for width in (1, 2):
        inner = outer(width)
        assert inner(rows, width).shape == (2, width)
        for wrong in (rows[0], rows.int(), "text"):
            with pytest.raises(TypeCheckError):
                inner(wrong, width)
        with pytest.raises(TypeCheckError):
            inner(rows, "1")
        with pytest.raises(TypeCheckError):
            inner(rows, 4)  # it gives fewer columns


def test_equal_names_and_other_types_are_told_apart() -> None:
    def made(kind: type) -> Callable[[object], object]:
        def same(x: kind) -> kind:  # type: ignore[valid-type]
            return x

        return jaxtyped(same, typechecker=checked)

    assert (made(int)(1), made(str)("a")) == (1, "a")
    for kind, wrong in ((int, "a"), (str, 1)):
        with pytest.raises(TypeCheckError):
            made(kind)(wrong)
