"""Average precision of every neuron in many comparisons of the same blocks of prompts."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int, Real, UInt
from torch import Tensor

from neuron_atlas.detectors.blocks import Block, Comparison, Layout

CELLS = 1 << 24  # counts held at a time, per thread
MANY = 256  # prompts of a block from which on it is faster to sort them than to compare them all

Counts = Mapping[Block, Int[np.ndarray, "prompt neuron"] | UInt[np.ndarray, "prompt neuron"]]


def precision(
    values: Real[Tensor, "prompt neuron"], layout: Layout, comparisons: Sequence[Comparison]
) -> Float32[Tensor, "comparison neuron"]:
    """Return each neuron's average precision in each comparison, in (0, 1].

    The same number as `average_precision.average_precision`. How many prompts of each block are at
    or above each prompt is counted once; then a comparison costs a sum over its blocks, so that
    hundreds of chimeras are scored in the time of a few relations.

    Args:
        values: Values of the layout's prompts, in its order.
        layout: The blocks; together they hold all its prompts.
        comparisons: What is scored; each has a negative prompt.
    """
    wide = values.float().numpy() if values.element_size() < 4 else values.numpy()
    cells = len(layout.rows) * len(layout.blocks)
    step = max(4, min(512, CELLS // max(1, cells)))
    chunks = [wide[:, i : i + step] for i in range(0, wide.shape[1], step)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = list(pool.map(partial(_chunk, layout=layout, comparisons=comparisons), chunks))
    return torch.from_numpy(np.concatenate(found, axis=1))


def _chunk(
    values: Real[np.ndarray, "prompt neuron"], layout: Layout, comparisons: Sequence[Comparison]
) -> Float32[np.ndarray, "comparison neuron"]:
    counts = _at_or_above(np.ascontiguousarray(values), layout)
    found = np.empty((len(comparisons), values.shape[1]), dtype=np.float32)
    by_block: dict[Block, list[int]] = {}
    for i, comparison in enumerate(comparisons):
        by_block.setdefault(comparison.positive, []).append(i)
    for block, own in by_block.items():
        ignored = [comparisons[i].ignored for i in own]
        for i, score in zip(own, _one_block(counts, layout, block, ignored), strict=True):
            found[i] = score
    return found


def _one_block(
    counts: Counts, layout: Layout, block: Block, ignored: Sequence[frozenset[Block]]
) -> Iterable[Float64[np.ndarray, " neuron"]]:
    """Yield a block's average precision for each set of ignored blocks."""
    place = layout.blocks[block]
    mine = {other: count[place.start : place.stop] for other, count in counts.items()}
    always = frozenset.intersection(*ignored)
    used = np.zeros(mine[block].shape, dtype=np.int32)
    for other in mine.keys() - always:
        used += mine[other]
    hits = mine[block].astype(np.float64)
    for one in ignored:
        rest = used
        for other in one - always:
            rest = rest - mine[other]
        yield (hits / rest).mean(axis=0)


def _at_or_above(values: Real[np.ndarray, "prompt neuron"], layout: Layout) -> Counts:
    """Count, for each prompt and block, the block's prompts whose value is at least its own."""
    sizes = [len(place) for place in layout.blocks.values()]
    kind = np.uint8 if max(sizes) <= np.iinfo(np.uint8).max else np.int32
    ranked = _Ranked.of(values) if max(sizes) >= MANY else None
    counts = {}
    for block, place in layout.blocks.items():
        own = values[place.start : place.stop]
        if ranked is not None and len(place) >= MANY:
            counts[block] = ranked.at_or_above(own, kind)
        else:
            counts[block] = _by_comparing(values, own, kind)
    return counts


def _by_comparing(
    values: Real[np.ndarray, "prompt neuron"],
    own: Real[np.ndarray, "own neuron"],
    kind: type[np.uint8] | type[np.int32],
) -> Int[np.ndarray, "prompt neuron"] | UInt[np.ndarray, "prompt neuron"]:
    """Count with one comparison per pair of prompts."""
    count, mask = np.zeros(values.shape, dtype=kind), np.empty(values.shape, dtype=np.bool_)
    for row in own:
        np.less_equal(values, row, out=mask)
        np.add(count, mask.view(np.uint8), out=count)
    return count


class _Ranked(NamedTuple):
    """Values in rising order, neuron by neuron, and which prompt each is of."""

    values: Real[np.ndarray, "neuron prompt"]
    order: Int[np.ndarray, "neuron prompt"]

    @classmethod
    def of(cls, values: Real[np.ndarray, "prompt neuron"]) -> "_Ranked":
        """Sort values."""
        each = np.ascontiguousarray(values.T)
        order = np.argsort(each, axis=1)
        return cls(np.take_along_axis(each, order, axis=1), order)

    def at_or_above(
        self, own: Real[np.ndarray, "own neuron"], kind: type[np.uint8] | type[np.int32]
    ) -> Int[np.ndarray, "prompt neuron"] | UInt[np.ndarray, "prompt neuron"]:
        """Count as `_by_comparing` does; a prompt costs little more where a block has many."""
        count = np.empty(self.values.shape, dtype=kind)
        for place, sorted_own in enumerate(np.sort(own.T, axis=1)):
            below = np.searchsorted(sorted_own, self.values[place])  # in order, so soon found
            count[place, self.order[place]] = len(own) - below
        return np.ascontiguousarray(count.T)
