"""What the neuron sets of two runs have in common, beside what chance gives."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neuron_atlas.comparison.stored_sets import StoredSets
from neuron_atlas.neurons.overlap import expected_jaccard, jaccard
from neuron_atlas.neurons.relation_sets import POOLED


@dataclass(frozen=True)
class SetOverlap:
    """A relation's set in two runs.

    Attributes:
        source: The language in which the neurons were found, or `pooled`.
        relation: The relation.
        sizes: Neurons in each run's set; 0 where a run has no such set.
        shared: Neurons in both.
        jaccard: Shared neurons over those in either; None if one has no set.
        chance: The mean Jaccard index of two random sets of these sizes; None likewise.
    """

    source: str
    relation: str
    sizes: tuple[int, int]
    shared: int
    jaccard: float | None
    chance: float | None


def set_overlaps(first: StoredSets, second: StoredSets) -> list[SetOverlap]:
    """Compare two runs' sets by relation: the pooled ones, then each language's.

    Raises:
        ValueError: the runs' models differ.
    """
    if first.model != second.model or first.n_neurons != second.n_neurons:
        raise ValueError("the runs have different models, whose neurons cannot be compared")
    return list(_overlaps(first, second))


def _overlaps(first: StoredSets, second: StoredSets) -> Iterator[SetOverlap]:
    names = sorted({*first.sets, *second.sets}, key=lambda name: (name[0] != POOLED, name))
    none = np.array([], dtype=np.int64)
    for name in names:
        a, b = first.sets.get(name, none), second.sets.get(name, none)
        both = bool(a.size and b.size)
        yield SetOverlap(
            *name,
            (a.size, b.size),
            int(np.intersect1d(a, b).size),
            jaccard(a, b) if both else None,
            expected_jaccard(a.size, b.size, first.n_neurons) if both else None,
        )
