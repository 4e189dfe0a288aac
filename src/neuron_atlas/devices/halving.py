"""Batches that are halved where a device's memory does not suffice for them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Item = TypeVar("Item")


def halving(
    batch: Batch, run: Callable[[Batch], Result], halves: Callable[[Batch], Sequence[Batch]]
) -> Iterator[tuple[Batch, Result]]:
    """Run a batch; where memory does not suffice, its halves in turn, and theirs.

    What a batch is computed with decides the last digits of what is found: they are those of the
    smaller batches, as if these had been chosen.

    Args:
        batch: What to run.
        run: Runs a batch; what it leaves when it fails must not matter.
        halves: Takes a batch apart, in order; it returns nothing if the batch cannot be smaller.

    Yields:
        What was run, and its result.

    Raises:
        torch.OutOfMemoryError: the smallest batch does not fit either.
    """
    parts: Sequence[Batch] = ()
    try:
        result = run(batch)
    except RuntimeError as error:
        if not _lacks_memory(error):
            raise
        parts = halves(batch)
        if not parts:
            error.add_note(
                "A batch of one did not fit beside the model. Shorten the prompts, choose a "
                "smaller model.dtype, or spread the model: NEURON_ATLAS_DEVICE=spread."
            )
            raise
    if not parts:
        yield batch, result
        return
    if torch.cuda.is_available():  # only now has the error let go of what was computed
        torch.cuda.empty_cache()
    for part in parts:
        yield from halving(part, run, halves)


def _lacks_memory(error: RuntimeError) -> bool:
    """Return whether a device had no room: for a tensor, or for what cuBLAS works with."""
    return isinstance(error, torch.OutOfMemoryError) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


def in_two(items: list[Item]) -> list[list[Item]]:
    """Return a list's two halves in order; nothing if it has but one item."""
    middle = len(items) // 2
    return [items[:middle], items[middle:]] if middle else []
