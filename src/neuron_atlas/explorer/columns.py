"""Columns as JSON that compresses well and that a page's script reads as they are."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

DIGITS = 3  # significant digits of a number on the page
NONE = -1  # the place of a missing text


def different(columns: Iterable[pd.Series]) -> list[str]:
    """Return the different texts of some columns, sorted."""
    return sorted({str(text) for column in columns for text in column.dropna().unique()})


def places(texts: pd.Series, among: pd.Index) -> list[int]:
    """Return each text's place among different texts, `NONE` where it is missing."""
    return among.get_indexer(pd.Index(texts.astype(object))).tolist()


def coded(texts: pd.Series) -> dict[str, list[Any]]:
    """Return a column of texts that can be read by itself: `texts`, and `codes`, the places."""
    found = different([texts])
    return {"texts": found, "codes": places(texts, pd.Index(found, dtype=object))}


def rounded(values: pd.Series) -> list[float | int | None]:
    """Return numbers with `DIGITS` significant digits; a missing or infinite one is None."""
    given = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(given)
    size = np.abs(np.where(known & (given != 0), given, 1.0))
    power = np.clip(DIGITS - 1 - np.floor(np.log10(size)), -300, 300)
    up, down = 10.0 ** np.maximum(power, 0), 10.0 ** np.maximum(-power, 0)  # one is 1, both exact
    short = np.round(np.where(known, given, 0.0) / down * up) * down / up
    return [
        _shortest(x) if k else None for x, k in zip(short.tolist(), known.tolist(), strict=True)
    ]


def _shortest(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def whole(values: pd.Series) -> list[int | None]:
    """Return whole numbers and truth values as whole numbers; a missing one is None."""
    if values.hasnans:
        return [None if pd.isna(value) else int(value) for value in values]
    return values.to_numpy(dtype=np.int64).tolist()


def steps(values: Int[np.ndarray, " n"]) -> list[int]:
    """Return how far each of some whole numbers is from the one before it, the first from 0."""
    return np.diff(values, prepend=0).tolist()  # type: ignore[no-any-return]


class Ragged:
    """A table with any number of rows per neuron, from which neurons' rows are cut quickly."""

    def __init__(self, table: pd.DataFrame, among: Mapping[str, pd.Index]) -> None:
        """Sort the rows by neuron; those of one neuron keep their order.

        Args:
            table: Of its column `neuron` and those that are packed.
            among: The different texts of each column that holds texts, by its name.
        """
        ordered = table.sort_values("neuron", kind="stable", ignore_index=True)
        self._neurons = ordered.pop("neuron").to_numpy()
        self._columns: Mapping[str, list[Any]] = {
            str(name): places(column, among[str(name)]) if name in among else _numbers(column)
            for name, column in ordered.items()
        }

    def packed(self, of: Int[np.ndarray, " k"]) -> dict[str, Any]:
        """Return the rows of some neurons as JSON.

        Args:
            of: Neurons, rising, with no other of the table's neurons between them.

        Returns:
            `counts`: how many rows each neuron has, in the order of `of`. `columns`: by name, the
            rows' numbers and places of texts, neuron by neuron.
        """
        first, last = (np.searchsorted(self._neurons, of, side=side) for side in ("left", "right"))
        start, end = (int(first[0]), int(last[-1])) if len(of) else (0, 0)
        return {
            "counts": (last - first).tolist(),
            "columns": {name: values[start:end] for name, values in self._columns.items()},
        }


def _numbers(column: pd.Series) -> list[Any]:
    return rounded(column) if pd.api.types.is_float_dtype(column.dtype) else whole(column)
