"""The largest and the smallest values of each row of a wide matrix, exactly and in a fixed order.

Columns stand in groups. A row's k-th largest group maximum is a number that at least k values of
the row reach, so that only groups that reach it are looked into: a small part of the matrix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn.functional import pad

GROUP = 32
EMPTY = -1  # the id of a column that only fills a group up
EVERY = ""  # in place of a range's name: all columns


class Span(NamedTuple):
    """A range: its first group, the one behind its last, its columns, and which groups are full."""

    first: int
    last: int
    size: int
    full: Bool[Tensor, " group"]


class Ends(NamedTuple):
    """Ids and values of each row's largest values, largest first; or of the smallest ones."""

    ids: Int64[Tensor, "row k"]
    values: Float[Tensor, "row k"]


@dataclass(frozen=True)
class Columns:
    """The columns of a matrix, in ranges of whole groups.

    Attributes:
        ids: What each column stands for; `EMPTY` where it only fills its group up.
        ranges: By name, the first group and the one behind the last.
    """

    ids: Int64[Tensor, "group column"]
    ranges: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, parts: Mapping[str, Int64[Tensor, "_"]]) -> "Columns":
        """Lay out the columns of some ranges one after another, each range filled up at its end."""
        filled = [pad(ids, (0, -len(ids) % GROUP), value=EMPTY) for ids in parts.values()]
        ranges, start = {}, 0
        for name, ids in zip(parts, filled, strict=True):
            ranges[name] = (start, start + len(ids) // GROUP)
            start += len(ids) // GROUP
        return cls(torch.cat(filled).view(-1, GROUP), ranges)

    @property
    def flat(self) -> Int64[Tensor, " column"]:
        """The id of each column, that of another one where it only fills a group up."""
        return self.ids.flatten().clamp_min(0)

    def to(self, device: torch.device) -> "Columns":
        """Return the same on a device."""
        return Columns(self.ids.to(device), self.ranges)

    def grouped(self, values: Float[Tensor, "row column"]) -> "Grouped":
        """Return a matrix of these columns, whose ends can be asked for."""
        return Grouped(self, values.view(len(values), *self.ids.shape))

    @cached_property
    def spans(self) -> Mapping[str, "Span"]:
        """Of each range, and under `EVERY` of all of them, what is asked for often."""
        there = self.ids != EMPTY
        every = {EVERY: (0, len(self.ids)), **self.ranges}
        return {
            name: Span(first, last, int(there[first:last].sum()), there[first:last].all(1))
            for name, (first, last) in every.items()
        }


class Grouped:
    """A matrix, none of whose values is NaN, with the smallest and largest value of each group."""

    def __init__(self, columns: Columns, values: Float[Tensor, "row group column"]) -> None:
        self._columns, self._values = columns, values
        self._least, self._most = values.aminmax(dim=2)

    def largest(self, k: int, name: str = EVERY) -> Ends:
        """Return each row's `k` largest values, or all if there are fewer; ties by id.

        Args:
            k: How many.
            name: Of which range; by default of all of them together.
        """
        return self._ends(self._most, k, self._columns.spans[name], 1)

    def smallest(self, k: int, name: str = EVERY) -> Ends:
        """Return each row's `k` smallest values, smallest first, as `largest` does."""
        return self._ends(-self._least, k, self._columns.spans[name], -1)

    def _ends(self, most: Float[Tensor, "row group"], k: int, span: Span, sign: int) -> Ends:
        k, most = min(k, span.size), most[:, span.first : span.last]
        floor = torch.full((len(most), 1), -torch.inf, device=most.device)
        if int(span.full.sum()) >= k > 0:
            floor = most.masked_fill(~span.full, -torch.inf).topk(k).values[:, -1:]
        row, group = ((most >= floor) | ~span.full).nonzero(as_tuple=True)
        values, ids = (
            sign * self._values[row, span.first + group],
            self._columns.ids[span.first + group],
        )
        place, column = ((values >= floor[row]) & (ids != EMPTY)).nonzero(as_tuple=True)
        ends = _first(values[place, column], ids[place, column], row[place], k, len(most))
        return Ends(ends.ids, sign * ends.values)


def _first(
    values: Float[Tensor, " found"],
    ids: Int64[Tensor, " found"],
    row: Int[Tensor, " found"],
    k: int,
    n_rows: int,
) -> Ends:
    """Return the first k of each row, by value and then by id."""
    order = ids.argsort(stable=True)
    order = order[values[order].argsort(descending=True, stable=True)]
    order = order[row[order].argsort(stable=True)]
    count = torch.bincount(row, minlength=n_rows)
    place = (count.cumsum(0) - count)[:, None] + torch.arange(k, device=row.device)
    return Ends(ids[order][place], values[order][place])
