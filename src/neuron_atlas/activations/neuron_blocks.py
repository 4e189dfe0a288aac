"""Blocks of a layer's neurons, so small that all prompts' values of a block fit in memory."""

from collections.abc import Iterator

BYTES = 1 << 27  # of a block's values in double precision; what is made of them takes some times it
STEP = 64  # neurons, of which a block has a multiple


def neuron_blocks(n_prompts: int, n_neurons: int) -> Iterator[slice]:
    """Yield the blocks of a layer: all of it where few prompts are read.

    Blocks have one width but for the last.

    Args:
        n_prompts: Prompts whose values are read together.
        n_neurons: Neurons of the layer.
    """
    width = max(STEP, BYTES // (8 * max(1, n_prompts)) // STEP * STEP)
    for start in range(0, n_neurons, width):
        yield slice(start, min(start + width, n_neurons))
