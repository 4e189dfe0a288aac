"""Overlap of language-specific neurons with those that other stages found, and chance's overlap."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.neurons import knowledge_sets, overlap, relation_sets
from neuron_atlas.neurons.addresses import layer_histogram
from neuron_atlas.pipeline import store

METHOD = "attribution"
BEST = 20  # of a fact's neurons, by their grade
COLUMNS = ["language", "kind", "neurons", "others", "count", "expected", "p_value"]
Neurons = Int[np.ndarray, " _"]


@dataclass(frozen=True)
class OtherSets:
    """Where other stages left their sets.

    Attributes:
        relations: By language, the folder of relation neurons.
        attributions: By language, the folder of attribution scores.
        independent: The table of language-independent neurons of facts.
    """

    relations: Mapping[str, Path]
    attributions: Mapping[str, Path]
    independent: Path

    def of(self, language: str, shape: tuple[int, int]) -> Iterator[tuple[str, Neurons]]:
        """Yield each kind of neurons in a language, and these, each once; none of what is absent.

        `relation`, of any relation, if these are hidden units too; `knowledge`, the `BEST` best
        graded ones of any fact; `independent`, language-independent for any fact: the same in every
        language.
        """
        if language in self.relations:
            found = relation_sets.read_sets(self.relations[language])
            if found.size.shape == shape:
                yield "relation", _union(list(found.sets.values()))
        if language in self.attributions:
            yield "knowledge", _graded(self.attributions[language])
        table = store.read_table(self.independent)
        yield "independent", _union([table["neuron"].to_numpy(np.int64)])


def overlaps(
    sets: Mapping[str, Neurons], others: OtherSets, shape: tuple[int, int]
) -> pd.DataFrame:
    """Count the neurons that a language's set shares with each other kind.

    Args:
        sets: Language-specific neurons by language.
        others: The other kinds.
        shape: Layers, and neurons per layer.

    Returns:
        `COLUMNS`: the sizes of both, the `count` shared, and of random sets with as many neurons
        in each layer the mean count and the probability of so many or more, both exact.
    """
    rows = [
        (code, kind, *_compared(own, other, shape))
        for code, own in sets.items()
        if len(own)
        for kind, other in others.of(code, shape)
        if len(other)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _compared(
    own: Neurons, other: Neurons, shape: tuple[int, int]
) -> tuple[int, int, int, float, float]:
    n_layers, n_neurons = shape
    count = int(np.intersect1d(own, other).size)
    expected = overlap.within_layer_expected_overlap(
        own, other, n_layers=n_layers, n_neurons=n_neurons
    )
    one, two = (layer_histogram(x, n_layers=n_layers, n_neurons=n_neurons) for x in (own, other))
    p_value = overlap.within_layer_p_value(count, one, two, n_neurons)
    return len(own), len(other), count, expected, p_value


def _graded(folder: Path) -> Neurons:
    scores = knowledge_sets.read_scores(folder)
    if not len(scores):
        return _union([])
    found = knowledge_sets.neurons_by_grade(scores, method=METHOD)
    return _union([own[:BEST] for own in found.values()])


def _union(sets: list[Neurons]) -> Neurons:
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *sets]))
