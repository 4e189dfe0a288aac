"""What neurons do on the recorded prompts: means by relation, largest values, extreme prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.cards import tables
from neuron_atlas.cards.prompts import extremes
from neuron_atlas.detectors import average_precision, block_precision, eligible
from neuron_atlas.detectors.blocks import lay_out
from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import progress
from neuron_atlas.relation_neurons.settings import SetPlan

BySource = Float32[np.ndarray, "source relation layer neuron"]


@dataclass(frozen=True)
class Activity:
    """What the neurons do on the recorded prompts.

    Attributes:
        sources: The languages, and `pooled`: the mean over the languages that have the relation.
        relations: All relations with a right prompt in some language.
        mean: Mean value on a relation's right prompts; NaN where there are none.
        elsewhere: Mean over the other relations of theirs; NaN where there are none.
        massive: Which neurons are outliers, as the stage `relation_neurons` says it.
        precision: Average precision of the neurons that have a card, as that stage scores them on
            the identification half; NaN where a language has too few facts of a relation.
        extremes: Their strongest and weakest prompts: `neuron`, `end`, `rank`, `language`, `row`
            (of the language's activations) and `value`.
    """

    sources: tuple[str, ...]
    relations: tuple[str, ...]
    mean: BySource
    elsewhere: BySource
    massive: Bool[np.ndarray, "layer neuron"]
    precision: Float32[np.ndarray, "source relation carded"]
    extremes: pd.DataFrame

    @property
    def change(self) -> BySource:
        """By how much a neuron's mean on a relation's right prompts exceeds that elsewhere."""
        return np.asarray(self.mean - self.elsewhere)

    @property
    def overall(self) -> Float64[np.ndarray, " flat"]:
        """Each neuron's mean value: over the relations, of all languages."""
        return np.asarray(mean_of_rows(self.mean[self.sources.index(POOLED)]).ravel())


def measure(
    values: Mapping[str, Recorded],
    carded: Int64[np.ndarray, " carded"],
    plan: SetPlan,
    *,
    n_neurons: int,
    n_prompts: int,
) -> Activity:
    """Read the recorded values, one layer at a time.

    Args:
        values: By language.
        carded: The neurons that have a card, flat indices in rising order.
        plan: How relation neurons are scored, and what is massive.
        n_neurons: Neurons per layer.
        n_prompts: Extreme prompts per neuron and end.
    """
    relations = _relations(values)
    languages = [_Language(code, one, relations, plan) for code, one in values.items()]
    n_layers = max(one.n_layers for one in values.values())
    parts: list[_Layer] = []
    for layer in progress.each(range(n_layers), "cards values", unit="layer"):
        own = carded[carded // n_neurons == layer]
        parts.append(_layer(languages, layer, own, width=n_neurons, n_prompts=n_prompts))
    mean = np.stack([part.mean for part in parts], 2)
    return Activity(
        sources=(*values, POOLED),
        relations=relations,
        mean=mean,
        elsewhere=_elsewhere(mean),
        massive=controls.massive(np.stack([part.largest for part in parts]), plan.massive),
        precision=np.concatenate([part.precision for part in parts], 2),
        extremes=pd.concat([part.extremes for part in parts], ignore_index=True),
    )


def scores(activity: Activity, carded: Int64[np.ndarray, " carded"]) -> pd.DataFrame:
    """Return one row per neuron that has a card, source and relation: `tables.SCORES`.

    A relation of which a source has no right prompt has no row there.
    """
    found = []
    mean, elsewhere = (
        part.reshape(*part.shape[:2], -1)[:, :, carded]
        for part in (activity.mean, activity.elsewhere)
    )
    for i, source in enumerate(activity.sources):
        for j, relation in enumerate(activity.relations):
            columns = {
                "neuron": carded,
                "language": source,
                "relation": relation,
                "average_precision": activity.precision[i, j],
                "mean": mean[i, j],
                "elsewhere": elsewhere[i, j],
            }
            if np.isfinite(mean[i, j]).any():
                found.append(pd.DataFrame(columns))
    table = tables.typed(found, tables.SCORES)
    return table.sort_values("neuron", kind="stable", ignore_index=True)


def mean_of_rows(rows: Float[np.ndarray, "row *rest"]) -> Float[np.ndarray, "*rest"]:
    """Return the mean over the rows that are not NaN; NaN where all are."""
    there = np.isfinite(rows)
    n = there.sum(0)
    total = np.where(there, rows, 0).sum(0, dtype=np.float64)
    return np.asarray(np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0))


def _relations(values: Mapping[str, Recorded]) -> tuple[str, ...]:
    found = {str(r) for one in values.values() for r in one.index["relation"][one.index["correct"]]}
    return tuple(sorted(found))


def _elsewhere(mean: BySource) -> BySource:
    """Return the mean over the other relations that a source has."""
    there = np.isfinite(mean)
    total, n = np.where(there, mean, 0).sum(1, keepdims=True, dtype=np.float64), there.sum(1)
    others = n[:, None] - 1
    found = np.full(mean.shape, np.nan, dtype=np.float32)
    np.divide(total - np.where(there, mean, 0), others, out=found, where=there & (others > 0))
    return found


class _Language:
    """One language's recorded values, and on which of its prompts relations are scored."""

    def __init__(
        self, code: str, recorded: Recorded, relations: Sequence[str], plan: SetPlan
    ) -> None:
        self.code, self._recorded, self._relations, self._plan = code, recorded, relations, plan
        index = recorded.index
        right = index[index["correct"]]
        self._rows = {
            str(r): rows.index.to_numpy(copy=True) for r, rows in right.groupby("relation")
        }
        found = eligible.find(index, min_facts=plan.min_facts, min_positives=plan.min_positives)
        self._units = found.relations
        names = [unit.name for unit in self._units]
        self._layout = lay_out(index, names, "identification")
        self._asked = [[self._layout.compare(b, u) for b in u.blocks] for u in self._units]

    def values(self, layer: int) -> Float[Tensor, "prompt neuron"]:
        """Return a layer's values, in float32."""
        return self._recorded.layer(layer).float()

    def means(
        self, values: Float[Tensor, "prompt neuron"]
    ) -> Float64[np.ndarray, "relation neuron"]:
        """Return the mean on each relation's right prompts; NaN where there are none."""
        found = np.full((len(self._relations), values.shape[1]), np.nan)
        for place, relation in enumerate(self._relations):
            if (rows := self._rows.get(relation)) is not None:
                found[place] = values[rows].mean(0).numpy()
        return found

    def largest(self, values: Float[Tensor, "prompt neuron"]) -> Float[np.ndarray, " neuron"]:
        """Return the largest size on the prompts that find neurons; 0 if none do."""
        used = values[self._layout.rows].abs()
        return used.amax(0).double().numpy() if len(used) else np.zeros(values.shape[1])

    def precision(self, values: Float[Tensor, "prompt own"]) -> Float64[np.ndarray, "relation own"]:
        """Return the average precision of some neurons for each relation, NaN where not scored."""
        found = np.full((len(self._relations), values.shape[1]), np.nan)
        if not self._units or not values.shape[1]:
            return found
        flat = [one for unit in self._asked for one in unit]
        scored = block_precision.precision(values[self._layout.rows], self._layout, flat)
        parts = torch.split(scored, [len(one) for one in self._asked])
        for unit, part in zip(self._units, parts, strict=True):
            robust = average_precision.template_robust(part, self._plan.templates)
            found[self._relations.index(unit.name)] = robust.numpy()
        return found


@dataclass(frozen=True)
class _Layer:
    """What one layer adds to an `Activity`."""

    mean: Float32[np.ndarray, "source relation neuron"]
    largest: Float64[np.ndarray, " neuron"]
    precision: Float32[np.ndarray, "source relation own"]
    extremes: pd.DataFrame


def _layer(
    languages: Sequence[_Language],
    layer: int,
    own: Int64[np.ndarray, " own"],
    *,
    width: int,
    n_prompts: int,
) -> _Layer:
    means, precisions, recorded = [], [], []
    largest = np.zeros(width)
    columns = torch.from_numpy(own % width)
    for language in languages:
        values = language.values(layer)
        means.append(language.means(values))
        largest = np.maximum(largest, language.largest(values))
        recorded.append(values[:, columns])
        precisions.append(language.precision(recorded[-1]))
    codes = [language.code for language in languages]
    return _Layer(
        _with_pooled(means),
        largest,
        _with_pooled(precisions),
        extremes(own, dict(zip(codes, recorded, strict=True)), n_prompts),
    )


def _with_pooled(
    languages: Sequence[Float64[np.ndarray, "relation neuron"]],
) -> Float32[np.ndarray, "source relation neuron"]:
    stacked = np.stack(languages)
    return np.concatenate([stacked, mean_of_rows(stacked)[None]]).astype(np.float32)
