"""Ends of rows, found group by group, are those of a plain sort."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neuron_atlas.value_vectors.largest import GROUP, Columns

LENGTHS = st.lists(st.integers(0, 5 * GROUP), min_size=1, max_size=3)


def plain(values: np.ndarray, ids: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    """The k largest of one row by a full sort; ties by id."""
    order = np.lexsort((ids, -values))[:k]
    return ids[order].tolist(), values[order].tolist()


def laid_out(lengths: list[int], rng: np.random.Generator) -> tuple[Columns, dict[str, np.ndarray]]:
    """Ranges of ids in random places, as scripts have them."""
    ids = rng.permutation(sum(lengths))
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    named = {f"range {i}": np.sort(part) for i, part in enumerate(parts)}
    return Columns.of({name: torch.from_numpy(part) for name, part in named.items()}), named


def matrix(columns: Columns, values: np.ndarray) -> Tensor:
    """Values by id, in the order of the columns; what fills a group up has a value of its own."""
    flat = torch.from_numpy(values)[:, columns.flat]
    return torch.where(columns.ids.flatten() >= 0, flat, 100.0 * torch.sign(flat + 0.5))


@given(LENGTHS, st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())
def test_ends_are_those_of_a_sort(lengths: list[int], k: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    columns, parts = laid_out(lengths, rng)
    size = (3, max(1, sum(lengths)))
    values = rng.integers(-3, 4, size=size) if ties else rng.standard_normal(size)
    grouped = columns.grouped(matrix(columns, values.astype(np.float32)))
    every = {"": np.arange(sum(lengths)), **parts}
    for name, ids in every.items():
        for sign, ends in ((1, grouped.largest), (-1, grouped.smallest)):
            found = ends(k, name)
            assert found.ids.shape == (3, min(k, len(ids)))
            for row in range(3):
                own = sign * values[row, ids].astype(np.float32)
                expected, sizes = plain(own, ids, k)
                assert found.ids[row].tolist() == expected
                assert (sign * found.values[row]).tolist() == sizes


def test_a_range_has_no_columns_of_another_one() -> None:
    columns = Columns.of({"low": torch.arange(40), "high": torch.arange(40, 50)})
    values = torch.zeros(1, columns.ids.numel())
    values[0, columns.ids.flatten() >= 40] = 5
    found = columns.grouped(values)
    assert found.largest(3, "low").ids.tolist() == [[0, 1, 2]]
    assert found.largest(3, "high").values.tolist() == [[5, 5, 5]]
    assert found.largest(3).ids.tolist() == [[40, 41, 42]]


def test_an_unknown_range_is_an_error() -> None:
    columns = Columns.of({"one": torch.arange(3)})
    with pytest.raises(KeyError, match="other"):
        columns.grouped(torch.zeros(1, GROUP)).largest(1, "other")
