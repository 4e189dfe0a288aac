"""Relation neurons that several languages share, and how many of them are fact neurons too."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.language_neurons import shared
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.neurons import overlap
from neuron_atlas.neurons.addresses import layer_histogram
from neuron_atlas.neurons.relation_sets import SetsByRelation

PLACE = ["neuron", "layer", "index", "n_languages", "languages"]
RELATIONS = ["relation", *PLACE]


def shared_by_relation(
    sets: Mapping[str, SetsByRelation],
    rule: SharingRule,
    *,
    n_neurons: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the relation neurons that languages share: sets by average precision, not by facts.

    Args:
        sets: By language, each relation's neurons.
        rule: How many languages must share a neuron, and how often sets are dealt.
        n_neurons: Neurons per layer.
        rng: Of the deals.

    Returns:
        One row per shared neuron, with the columns `RELATIONS`; and their mean number per relation,
        that under mismatched deals, and its p-value.
    """
    found = shared.members(sets, {r: r for one in sets.values() for r in one})
    chosen = pd.DataFrame(columns=RELATIONS)
    summary: dict[str, Any] = {"n_relations": len(found.items), "mean_per_relation": 0.0}
    if not found.items:
        return chosen, summary | {"null_mismatched": 0.0, "p_value": 1.0}
    wanted = shared.needed(found, rule.min_languages)
    own = shared.tally(found, wanted, len(sets))
    deals = shared.mismatched(found, rng, n_deals=rule.n_permutations)
    null = np.array([shared.tally(one, wanted, len(sets)).mean for one in deals])
    chosen = shared.shared_neurons(found, wanted, list(sets), n_neurons).rename(
        columns={"item": "relation"}
    )
    return chosen[RELATIONS].reset_index(drop=True), summary | {
        "mean_per_relation": own.mean,
        "null_mismatched": float(null.mean()),
        "p_value": shared.p_value(own.mean, null),
    }


def both_kinds(
    facts: pd.DataFrame, relations: pd.DataFrame, shape: tuple[int, int]
) -> dict[str, Any]:
    """Count the neurons that are language-independent both for a fact and for its relation.

    The p-value is that of at least as many by chance, given both kinds' numbers per relation and
    layer.
    """
    count, histograms = 0, []
    size = {"n_layers": shape[0], "n_neurons": shape[1]}
    for relation, rows in facts.groupby("relation"):
        of_facts = np.unique(rows["neuron"].to_numpy(np.int64))
        same = relations["relation"] == relation
        of_relation = relations.loc[same, "neuron"].to_numpy(np.int64)
        count += len(np.intersect1d(of_facts, of_relation))
        histograms.append([layer_histogram(x, **size) for x in (of_facts, of_relation)])
    if not histograms:
        return {"count": 0, "expected_within_layer": 0.0, "p_value": 1.0}
    a, b = np.concatenate(histograms, axis=1)
    return {
        "count": count,
        "expected_within_layer": float(a @ b / shape[1]),
        "p_value": overlap.within_layer_p_value(count, a, b, shape[1]),
    }
