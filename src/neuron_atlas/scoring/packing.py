"""Packing of many questions into few sequences, so that shared prefixes are computed once.

In a causal model a prompt's last token, under an intervention at the answer position, sees the
untouched earlier tokens and itself. So the last token can stand in one sequence many times, once
for each intervention (*arm*) and each with its own tree of answer tokens, as long as every copy
attends only to the prompt and to its own ancestors. No cache, no left padding, and no attention
re-implemented: the model's own modules run with an explicit mask and explicit positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from neuron_atlas.scoring.trees import AnswerTree, Ints

UNEDITED = -1
OVERHEAD = 48  # tokens whose time a batch takes beside its tokens


@dataclass(frozen=True)
class Segment:
    """A block under some of its arms, as a part of a packed sequence."""

    owner: int  # index of the block
    block: AnswerTree
    places: tuple[int, ...]  # of the arms among the block's arms
    arms: tuple[int, ...]

    @property
    def own(self) -> int:
        """Tokens beyond the prompt's prefix."""
        return len(self.arms) * len(self.block.ids)


@dataclass(frozen=True)
class Row:
    """One packed sequence: segments behind the prefix that their prompts share."""

    segments: tuple[Segment, ...]
    shared: int  # tokens of the common prefix
    everywhere: bool  # edit the whole prompt, not only the answer position

    @property
    def length(self) -> int:
        """Tokens of the sequence."""
        return self.shared + sum(len(s.block.prefix) - self.shared + s.own for s in self.segments)


def split_arms(
    laid_out: Sequence[AnswerTree], arms: Sequence[Sequence[int]], *, shareable: bool, target: int
) -> list[Segment]:
    """Split each block's arms into segments, so that a sequence has about `target` tokens.

    Where the first arm is `UNEDITED`, every segment begins with it: the others are near it. One arm
    per segment where arms cannot share a sequence: in encoders, and when edits act on the whole
    prompt.
    """
    found = []
    for owner, (block, chosen) in enumerate(zip(laid_out, arms, strict=True)):
        room = max(1, (target - len(block.prefix)) // len(block.ids)) if shareable else 1
        beside = (0,) if room > 1 and chosen and chosen[0] == UNEDITED else ()
        rest, room = range(len(beside), len(chosen)), room - len(beside)
        size = -(-len(rest) // max(1, -(-len(rest) // room)))  # segments of one length
        for start in range(0, len(rest), max(1, size)) or beside:
            places = (*beside, *rest[start : start + size])
            found.append(Segment(owner, block, places, tuple(chosen[i] for i in places)))
    return found


def share_prefixes(
    parts: Sequence[Segment], *, shareable: bool, everywhere: bool, target: int
) -> Iterator[Row]:
    """Join segments whose prompts begin alike in one sequence, so that the beginning runs once.

    Demonstrations and template openings are shared by many prompts. A segment joins the previous
    ones as long as the tokens repeated for a shorter common prefix are fewer than those saved.
    """
    if not shareable:
        yield from (Row((s,), len(s.block.prefix), everywhere) for s in parts)
        return
    row: Row | None = None
    for part in sorted(parts, key=lambda s: (*s.block.prefix, -1, s.owner, s.places)):
        if row is None:
            row = Row((part,), len(part.block.prefix), everywhere)
            continue
        shared = _common(row.segments[-1].block.prefix[: row.shared], part.block.prefix)
        joined = Row((*row.segments, part), shared, everywhere)
        repeated = len(row.segments) * (row.shared - shared)
        if repeated < shared and joined.length <= target:
            row = joined
        else:
            yield row
            row = Row((part,), len(part.block.prefix), everywhere)
    if row is not None:
        yield row


def _common(a: Ints, b: Ints) -> int:
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


@dataclass(frozen=True)
class Packed:
    """A batch of packed sequences, right-padded.

    Attributes:
        arm: The arm that edits each position, or `UNEDITED`.
        source: Flat position (batch * position) from which each edge is read.
        clean: Flat position of the same read without intervention, in the same segment; `source`
            itself where the segment has none.
        token: The token whose probability each edge asks for.
    """

    ids: Int[Tensor, "batch position"]
    positions: Int[Tensor, "batch position"]
    visible: Bool[Tensor, "batch ..."]
    arm: Int[Tensor, "batch position"]
    source: Int[Tensor, " edge"]
    clean: Int[Tensor, " edge"]
    token: Int[Tensor, " edge"]


def pack(batch: Sequence[Row], *, encoder: bool) -> Packed:
    """Lay sequences out as tensors, one row per sequence."""
    width = max(row.length for row in batch)
    shape = (len(batch), width)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    arm = np.full(shape, UNEDITED, np.int64)
    visible = np.zeros((*shape, width), np.bool_)
    visible[:, np.arange(width), np.arange(width)] = not encoder  # padding sees itself: no NaN
    source, clean, token = [], [], []
    for i, row in enumerate(batch):
        n = row.shared
        ids[i, :n] = row.segments[0].block.prefix[:n]
        positions[i, :n] = np.arange(n)
        visible[i, :n, :n] = np.tri(n, dtype=np.bool_)
        arm[i, :n] = row.segments[0].arms[0] if row.everywhere else UNEDITED
        for part, where in _slices(row):
            ids[i, where], positions[i, where] = _tokens(part, n)
            arm[i, where] = _arms(part, n, everywhere=row.everywhere)
            visible[i, where, :n] = True
            visible[i, where, where] = _sight(part, n)
            first = i * width + where.stop - part.own
            source.append(first + _edge_places(part))
            clean.append(first + _clean_places(part))
            token.append(np.tile(part.block.edge_token, len(part.arms)))
    return Packed(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(visible.any(1) if encoder else visible),
        torch.from_numpy(arm),
        torch.from_numpy(np.concatenate(source)),
        torch.from_numpy(np.concatenate(clean)),
        torch.from_numpy(np.concatenate(token)),
    )


def prompt_places(row: Row) -> Iterator[tuple[Segment, Ints]]:
    """Yield a sequence's segments and where the tokens of prompt and first arm stand in it."""
    for part, where in _slices(row):
        rest = len(part.block.prefix) - row.shared
        places = np.arange(where.start, where.start + rest + len(part.block.ids))
        yield part, np.concatenate([np.arange(row.shared), places])


def _slices(row: Row) -> Iterator[tuple[Segment, slice]]:
    """Yield a sequence's segments and the positions of their tokens behind the shared prefix."""
    start = row.shared
    for part in row.segments:
        stop = start + len(part.block.prefix) - row.shared + part.own
        yield part, slice(start, stop)
        start = stop


def _tokens(part: Segment, shared: int) -> tuple[Ints, Ints]:
    prefix, n = part.block.prefix, len(part.arms)
    ids = np.concatenate([prefix[shared:], np.tile(part.block.ids, n)])
    depth = np.tile(len(prefix) + part.block.depth, n)
    return ids, np.concatenate([np.arange(shared, len(prefix)), depth])


def _arms(part: Segment, shared: int, *, everywhere: bool) -> Ints:
    block = part.block
    prefix = np.full(len(block.prefix) - shared, part.arms[0] if everywhere else UNEDITED)
    edited = np.ones_like(block.answer) if everywhere else block.answer
    own = np.where(edited, np.array(part.arms)[:, None], UNEDITED)
    return np.concatenate([prefix, own.ravel()])


def _sight(part: Segment, shared: int) -> Bool[np.ndarray, "token token"]:
    rest, own = len(part.block.prefix) - shared, part.own
    sight = np.zeros((rest + own, rest + own), np.bool_)
    sight[:rest, :rest] = np.tri(rest, dtype=np.bool_)
    sight[rest:, :rest] = True
    sight[rest:, rest:] = np.kron(np.eye(len(part.arms), dtype=np.bool_), part.block.visible)
    return sight


def _edge_places(part: Segment) -> Ints:
    copies = np.arange(len(part.arms))[:, None] * len(part.block.ids)
    return (copies + part.block.edge_row).ravel()


def _clean_places(part: Segment) -> Ints:
    if part.arms[0] != UNEDITED:
        return _edge_places(part)
    return np.tile(part.block.edge_row, len(part.arms))


def batches(items: Sequence[Row], *, n_tokens: int) -> Iterator[list[Row]]:
    """Group sequences of similar length so that a padded batch holds at most `n_tokens` tokens.

    Among such groupings of the sequences by length, the one with the fewest tokens, padding and
    `OVERHEAD` per batch included.
    """
    rows = sorted(items, key=lambda r: (r.length, r.segments[0].owner, r.segments[0].places))
    cost, start = (
        [0],
        [0],
    )  # of the best grouping of the first rows, and where its last batch begins
    for end, last in enumerate(rows, start=1):
        least = max(0, end - max(1, n_tokens // last.length))
        tried = [
            (cost[begin] + (end - begin) * last.length + OVERHEAD, begin)
            for begin in range(least, end)
        ]
        best = min(tried)
        cost.append(best[0])
        start.append(best[1])
    ends, end = [], len(rows)
    while end:
        ends.append((start[end], end))
        end = start[end]
    for begin, end in reversed(ends):
        yield rows[begin:end]
