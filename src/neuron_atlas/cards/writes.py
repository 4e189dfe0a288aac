"""Does a neuron write what it detects? Where its relation's answers stand among its tokens.

A neuron's area (`value_vectors.areas`) is compared with that of random neurons of the same layer
and like activation, each turned to the side on which it is where the relation is asked, as the
neuron itself is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32

from neuron_atlas.cards import tables
from neuron_atlas.cards.activity import Activity, mean_of_rows
from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import POOLED, RelationSets
from neuron_atlas.pipeline import progress
from neuron_atlas.statistics.holm import holm
from neuron_atlas.statistics.random_effects import over_clusters
from neuron_atlas.value_vectors.answer_tokens import Sides
from neuron_atlas.value_vectors.areas import of_vectors
from neuron_atlas.value_vectors.at_head import ValueVectors

NEAREST = 50  # neurons of the layer of nearest activation from which a random set takes one
TINY = np.finfo(np.float64).tiny
ROUNDING = 1e-6  # of areas, in float32, that are compared with random ones
Areas = Float32[np.ndarray, "source relation layer neuron"]
SidesBySource = Mapping[str, Mapping[str, Sides]]


def measured(vectors: ValueVectors, activity: Activity, compared: SidesBySource) -> Areas:
    """Return the area of every neuron for every relation, turned to where the relation is asked.

    Of all languages pooled it is the mean over the languages that have the relation, of the side on
    which the neuron is in the mean over them. NaN where nothing can be compared, or where a
    relation has no other beside it.
    """
    shape = activity.mean.shape
    found = np.full(shape, np.nan, dtype=np.float32)
    for layer in progress.each(range(shape[2]), "cards writes", unit="layer"):
        heads = vectors.of_neurons(layer, torch.arange(shape[3]))
        for source, relations in compared.items():
            place = activity.sources.index(source)
            for relation, area in of_vectors(vectors, heads, relations):
                if relation in activity.relations:
                    found[place, activity.relations.index(relation), layer] = area
    pooled = activity.sources.index(POOLED)
    found[pooled] = mean_of_rows(np.delete(found, pooled, axis=0))
    return np.where(
        np.isfinite(activity.change), np.where(activity.change < 0, 1 - found, found), np.nan
    )


@dataclass(frozen=True)
class Comparison:
    """What the areas of sets are compared with.

    Attributes:
        areas: From `measured`.
        sources: Of their first axis.
        relations: Of their second axis.
        n_draws: Random sets per set, and random neurons per neuron.
        seed: Of the random sets.
    """

    areas: Areas
    sources: Sequence[str]
    relations: Sequence[str]
    n_draws: int
    seed: int

    def neurons(self, found: RelationSets, relation: str) -> pd.DataFrame:
        """Return `tables.WRITES` of one set.

        The random neurons are those of nearest activation of the same layer, none of them of the
        set or banned: as many as `n_draws`, or all of the layer. `p_value` is the neuron's rank
        among them and itself.
        """
        area, size = self._of(found.source, relation), np.log(np.maximum(found.size, TINY))
        chosen, width = found.sets[relation], found.size.shape[1]
        free = np.ones(found.size.shape, dtype=np.bool_)
        free.flat[np.union1d(chosen, found.banned)] = False
        random, p_value = np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
        for place, neuron in enumerate(chosen.tolist()):
            layer, index = divmod(neuron, width)
            pool = np.flatnonzero(free[layer])
            away = np.abs(size[layer, pool] - size[layer, index])
            null = area[layer, pool[np.argsort(away, kind="stable")[: self.n_draws]]]
            if len(null) and np.isfinite(area[layer, index]):
                random[place] = null.mean()
                p_value[place] = rank_p(float(area[layer, index]), null)
        columns = {"neuron": chosen, "relation": relation, "language": found.source}
        columns |= {"auc": area.ravel()[chosen], "random": random, "p_value": p_value}
        return pd.DataFrame(columns)

    def whole(self, found: RelationSets, relation: str) -> pd.DataFrame:
        """Return a row of `tables.RELATIONS` but for `p_holm`: of one set as a whole.

        The random sets match it one by one in layer and activation. The interval is that of the
        mean over neurons like these, for the same tokens.
        """
        area, chosen = self._of(found.source, relation).ravel(), found.sets[relation]
        row = {"relation": relation, "language": found.source, "n_neurons": len(chosen)}
        own = area[chosen].astype(np.float64)
        if not len(own) or not np.isfinite(own).all():
            return pd.DataFrame([row])
        drawn = controls.matched_random(
            chosen,
            found.size,
            names=("cards", "writes", found.source, relation),
            seed=self.seed,
            n_draws=self.n_draws,
            n_nearest=NEAREST,
            exclude=found.banned,
        )
        null = area[drawn].mean(1, dtype=np.float64)
        row |= {"auc": own.mean(), "random": null.mean(), "p_value": rank_p(own.mean(), null)}
        if len(own) > 1:
            effect = over_clusters(own).effect
            row |= {"low": effect.low, "high": effect.high}
        return pd.DataFrame([row])

    def _of(self, source: str, relation: str) -> Float32[np.ndarray, "layer neuron"]:
        if relation not in self.relations:
            return np.full(self.areas.shape[2:], np.nan, dtype=np.float32)
        found: Float32[np.ndarray, "layer neuron"] = self.areas[
            self.sources.index(source), self.relations.index(relation)
        ]
        return found


def rank_p(own: float, null: Float[np.ndarray, " draw"]) -> float:
    """Return the one-sided p of a value: its rank from above among the random ones and itself."""
    return float((1 + (null >= own - ROUNDING).sum()) / (1 + len(null)))


def compare(
    given: Comparison, sets: Mapping[str, RelationSets]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables `tables.WRITES` and `tables.RELATIONS` of all sets.

    `p_holm` is corrected over the relations of each source.

    Args:
        given: The areas, and what they are compared with.
        sets: By source.
    """
    neurons, wholes = [], []
    for found in sets.values():
        relations = sorted(found.sets)
        neurons += [given.neurons(found, relation) for relation in relations]
        parts = [given.whole(found, relation) for relation in relations]
        own = tables.typed([part.reindex(columns=list(_WHOLE)) for part in parts], _WHOLE)
        wholes.append(own.assign(p_holm=holm(own["p_value"].to_numpy(np.float64))))
    table = tables.typed(neurons, tables.WRITES).dropna(subset="auc")
    return (
        table.sort_values("neuron", kind="stable", ignore_index=True),
        tables.typed(wholes, tables.RELATIONS),
    )


_WHOLE = {name: kind for name, kind in tables.RELATIONS.items() if name != "p_holm"}
