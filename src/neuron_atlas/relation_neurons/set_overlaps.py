"""How many neurons the sets of two relations, or of two languages, share, beside chance."""

from typing import Any

import numpy as np

from neuron_atlas.neurons import addresses, overlap
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.statistics.estimates import benjamini_hochberg


def overlaps(sets: SetsByRelation, *, n_layers: int, n_neurons: int) -> list[dict[str, Any]]:
    """Return the overlap of each pair of relations, two chance levels, and the p within layers.

    `expected` is chance over the whole model; `expected_within_layer` is chance for sets with the
    same layer profiles. It is the stricter one: sets that merely prefer the same layers reach it.
    """
    names = sorted(sets)
    n = n_layers * n_neurons
    rows = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            x, y = sets[a], sets[b]
            count = len(np.intersect1d(x, y))
            within = overlap.within_layer_expected_overlap(
                x, y, n_layers=n_layers, n_neurons=n_neurons
            )
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "count": count,
                    "expected": overlap.expected_overlap(len(x), len(y), n),
                    "expected_within_layer": within,
                    "p_value": overlap.within_layer_p_value(
                        count, *_histograms(x, y, n_layers, n_neurons), n_neurons
                    ),
                }
            )
    q = benjamini_hochberg(np.array([row["p_value"] for row in rows]))
    return [{**row, "q_value": float(value)} for row, value in zip(rows, q, strict=True)]


def _histograms(
    a: np.ndarray, b: np.ndarray, n_layers: int, n_neurons: int
) -> tuple[np.ndarray, np.ndarray]:
    counts = [addresses.layer_histogram(s, n_layers=n_layers, n_neurons=n_neurons) for s in (a, b)]
    return counts[0], counts[1]


def language_overlaps(by_source: dict[str, SetsByRelation], n: int) -> list[dict[str, Any]]:
    """Return the Jaccard index of each relation's sets between each pair of languages."""
    rows = []
    names = list(by_source)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for relation in sorted(set(by_source[a]) & set(by_source[b])):
                x, y = by_source[a][relation], by_source[b][relation]
                rows.append(
                    {
                        "relation": relation,
                        "a": a,
                        "b": b,
                        "jaccard": overlap.jaccard(x, y),
                        "chance": overlap.expected_jaccard(len(x), len(y), n),
                    }
                )
    return rows
