"""Sets of relation neurons: the best-scoring ones, how stable they are, and what they share."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.neurons import addresses, controls, overlap
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.relation_neurons import average_precision
from neuron_atlas.relation_neurons.scores import Scored
from neuron_atlas.statistics.estimates import benjamini_hochberg


def select(scored: Scored, *, k: int, exclude: Bool[Tensor, "layer neuron"]) -> SetsByRelation:
    """Return each relation's `k` best neurons, best first, as flat indices.

    Ties in score are broken by the standardised gap, then by the index.

    Raises:
        ValueError: `k` exceeds the neurons that are not excluded.
    """
    free = int((~exclude).sum())
    if not 1 <= k <= free:
        raise ValueError(f"relation_neurons.k must be in [1, {free}], got {k}")
    found = {}
    for i, relation in enumerate(scored.relations):
        score = scored.score[i].masked_fill(exclude, -1)
        found[relation] = addresses.top_k(average_precision.rank(score, scored.gap[i]), k)
    return found


def stability(
    scored: Scored, relation: str, *, k: int, exclude: Bool[Tensor, "layer neuron"]
) -> dict[str, float | None]:
    """Return how much of a set recurs in the other half of the subjects and in other templates.

    Jaccard indices in [0, 1], each beside the value expected of two random sets of size `k`.
    """
    i = scored.relations.index(relation)
    n = scored.score[i].numel()
    chance = overlap.expected_jaccard(k, k, n)

    def best(score: Tensor, gap: Tensor) -> Int[np.ndarray, " k"]:
        return addresses.top_k(average_precision.rank(score.masked_fill(exclude, -1), gap), k)

    halves = [
        best(scored.score[i], scored.gap[i]),
        best(scored.held_out[i], scored.held_out_gap[i]),
    ]
    sets = [best(score, gap) for score, gap in scored.by_template[i].values()]
    pairs = [overlap.jaccard(a, b) for j, a in enumerate(sets) for b in sets[j + 1 :]]
    return {
        "split_half_jaccard": overlap.jaccard(*halves),
        "split_half_jaccard_chance": chance,
        "template_jaccard": float(np.mean(pairs)) if pairs else None,
        "template_jaccard_chance": chance,
    }


def describe(
    scored: Scored,
    sets: SetsByRelation,
    *,
    source: str,
    size: Float[np.ndarray, "layer neuron"],
    massive: Bool[Tensor, "layer neuron"],
    exclude: Bool[Tensor, "layer neuron"],
    n_draws: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return one summary per relation: what its set scores on held-out subjects, and controls."""
    rows = []
    for relation in scored.relations:
        chosen = sets[relation]
        random = controls.matched_random(
            chosen, size, rng=rng, n_draws=n_draws, exclude=_indices(exclude)
        )
        rows.append(
            {
                "source": source,
                "relation": relation,
                **_measures(scored, relation, chosen, random),
                "n_massive": int(massive.flatten()[torch.from_numpy(chosen)].sum()),
                **stability(scored, relation, k=len(chosen), exclude=exclude),
            }
        )
    return rows


def _measures(
    scored: Scored,
    relation: str,
    chosen: Int[np.ndarray, " k"],
    random: Int[np.ndarray, "draw k"],
) -> dict[str, Any]:
    """Return how many facts a relation has, and average precisions beside what chance gives."""
    i = scored.relations.index(relation)
    held_out = scored.held_out[i].flatten().numpy()
    threshold = float(np.quantile(scored.null[i], 0.99))
    return {
        "n_identification": scored.n_facts[relation][0],
        "n_held_out": scored.n_facts[relation][1],
        "prevalence": float(scored.prevalence[i]),
        "ap_null_q99": threshold,
        "n_above_null": int((scored.score[i] > threshold).sum()),
        "held_out_ap": float(held_out[chosen].mean()),
        "random_held_out_ap": float(held_out[random].mean()),
    }


def _indices(mask: Bool[Tensor, "layer neuron"]) -> Int[np.ndarray, "_"]:
    return mask.flatten().nonzero().flatten().numpy()


def table(
    scored: Scored,
    sets: SetsByRelation,
    *,
    source: str,
    massive: Bool[Tensor, "layer neuron"],
) -> pd.DataFrame:
    """Return the sets as a table, one row per neuron, best first."""
    n = scored.score.shape[2]
    parts = []
    for i, relation in enumerate(scored.relations):
        chosen = sets[relation]
        parts.append(
            pd.DataFrame(
                {
                    "source": source,
                    "relation": relation,
                    "rank": np.arange(len(chosen)),
                    "layer": chosen // n,
                    "index": chosen % n,
                    "neuron": chosen,
                    "score": scored.score[i].flatten().numpy()[chosen],
                    "held_out_ap": scored.held_out[i].flatten().numpy()[chosen],
                    "massive": massive.flatten().numpy()[chosen],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


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
