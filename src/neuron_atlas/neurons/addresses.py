"""Addresses of neurons and of sets of neurons, for arrays and for people.

A set travels as an int64 array of flat indices, layer * n_neurons + index, best first, where
n_neurons is the number of neurons in one layer. `Neuron` is the same address for people.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64
from torch import Tensor


@dataclass(frozen=True, order=True)
class Neuron:
    """One MLP neuron: the input coordinate `index` of layer `layer`'s down-projection."""

    layer: int
    index: int


def to_neurons(flat: Int[np.ndarray, " k"], n_neurons: int) -> list[Neuron]:
    """Return the neuron at each flat index, in the same order."""
    return [Neuron(*divmod(i, n_neurons)) for i in flat.tolist()]


def to_flat(neurons: Iterable[Neuron], n_neurons: int) -> Int64[np.ndarray, " k"]:
    """Return the flat index of each neuron, in the same order; undoes `to_neurons`.

    Raises:
        ValueError: a layer is negative or an index is not in [0, n_neurons).
    """
    listed = list(neurons)
    for n in listed:
        if n.layer < 0 or not 0 <= n.index < n_neurons:
            raise ValueError(f"expected layer >= 0 and index in [0, {n_neurons}), got {n}")
    return np.array([n.layer * n_neurons + n.index for n in listed], dtype=np.int64)


def top_k(order: Int[Tensor, " n"], k: int) -> Int64[np.ndarray, " k"]:
    """Return the first `k` neurons of an order made by `average_precision.rank`.

    Raises:
        ValueError: `k` is not in [1, n].
    """
    if not 1 <= k <= len(order):
        raise ValueError(f"k must be in [1, {len(order)}] for {len(order)} ranked neurons, got {k}")
    return order[:k].cpu().numpy().astype(np.int64)


def layer_histogram(
    chosen: Int[np.ndarray, " k"], *, n_layers: int, n_neurons: int
) -> Int64[np.ndarray, " layer"]:
    """Count the chosen neurons of each layer; the counts sum to k.

    Raises:
        ValueError: an index is out of range or occurs twice.
    """
    check_set(chosen, n_layers * n_neurons)
    return np.bincount(chosen // n_neurons, minlength=n_layers)


def check_set(chosen: Int[np.ndarray, " k"], n: int) -> None:
    """Raise a ValueError unless `chosen` holds indices in [0, n), each once."""
    if (outside := chosen[(chosen < 0) | (chosen >= n)]).size:
        raise ValueError(
            f"expected flat indices in [0, {n}), got {outside[0]}; is the set of another model?"
        )
    unique, counts = np.unique(chosen, return_counts=True)
    if (repeated := unique[counts > 1]).size:
        raise ValueError(f"a set holds each neuron once, got {repeated[0]} twice; drop repeats")
