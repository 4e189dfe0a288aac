"""Scores of every neuron for every relation: does it respond whatever the entity and wording?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.activations.neuron_blocks import neuron_blocks
from neuron_atlas.detectors import average_precision, block_precision, gaps, probe
from neuron_atlas.detectors.blocks import Comparison, Layout, Unit, lay_out
from neuron_atlas.pipeline import progress
from neuron_atlas.relation_neurons.settings import OverTemplates


@dataclass(frozen=True)
class UnitScores:
    """Average precision of every neuron for some units: relations, or chimeras.

    Liu et al. (2025, section 3.1) score all prompts of a relation at once, and nearly all of them
    share one template; the least over templates asks for a response to every wording.

    Attributes:
        names: The units.
        score: Least (or mean) over the templates, identification half; in (0, 1].
        held_out: The same on the held-out half; its facts took no part in the other.
        testing: Held-out, with the template that selects nothing; NaN where a unit has none.
        by_template: For each unit and template, on the identification half.
    """

    names: tuple[str, ...]
    score: Float[Tensor, "unit layer neuron"]
    held_out: Float[Tensor, "unit layer neuron"]
    testing: Float[Tensor, "unit layer neuron"]
    by_template: tuple[dict[int, Float[Tensor, "layer neuron"]], ...]


@dataclass(frozen=True)
class Counts:
    """How much a relation's scores rest on.

    Attributes:
        identification: Facts on the identification half.
        held_out: Facts on the held-out half.
        prevalence: Share of positives in a template's comparison, mean over templates: chance.
        templates: Templates whose least score counts, identification half.
        held_out_templates: The same on the held-out half.
    """

    identification: int
    held_out: int
    prevalence: float
    templates: tuple[int, ...]
    held_out_templates: tuple[int, ...]


_Block = tuple[list[Tensor], list[Tensor], list[Tensor]]  # scores, gaps and sizes of some neurons


@dataclass(frozen=True)
class Size:
    """Sizes of activations over the identification prompts that were answered right."""

    mean: Float[Tensor, "layer neuron"]  # of the absolute value
    largest: Float[Tensor, "layer neuron"]


@dataclass(frozen=True)
class Scored:
    """Scores of one source (a language, or all pooled) for the relations it has enough facts of.

    Attributes:
        relations: Scores of the relations.
        gaps: Their tie-breakers.
        probe: Weights of a linear probe of the relation; see `probe.weights`.
        counts: By relation.
        no_siblings: Scores of relations that have siblings, whose prompts are no negatives here.
        chimeras: Scores of chimeras.
        size: Sizes of activations.
    """

    relations: UnitScores
    gaps: gaps.Gaps
    probe: Float[Tensor, "relation layer neuron"]
    counts: dict[str, Counts]
    no_siblings: UnitScores
    chimeras: UnitScores
    size: Size


@dataclass(frozen=True)
class ScoredSource:
    """Scores of one source, and the measures of its own chimeras; see `best_units.null`."""

    scored: Scored
    null: pd.DataFrame


@dataclass(frozen=True)
class Cast:
    """What is scored in a language.

    Attributes:
        relations: Its relations.
        no_siblings: Those that have siblings, and negatives besides.
        chimeras: The language's own.
        shared: Chimeras that several languages score, to be pooled.
    """

    relations: tuple[Unit, ...]
    no_siblings: tuple[Unit, ...]
    chimeras: tuple[Unit, ...]
    shared: tuple[Unit, ...]

    @property
    def all(self) -> tuple[Unit, ...]:
        """All units in this order, each chimera once."""
        own = {unit.name for unit in self.chimeras}
        others = (unit for unit in self.shared if unit.name not in own)
        return (*self.relations, *self.no_siblings, *self.chimeras, *others)


def score_language(
    recorded: Recorded,
    cast: Cast,
    n_facts: Mapping[str, tuple[int, int]],
    *,
    how: OverTemplates,
) -> Scored:
    """Score every neuron of one language for every unit, one block of neurons in memory at a time.

    Each number is one neuron's, so blocks do not change it.
    """
    index, names = recorded.index, [u.name for u in cast.relations]
    first, second = lay_out(index, names, "identification"), lay_out(index, names, "held_out")
    asked = _Asked(cast.all, first, second, how)
    scores, layer_gaps, sizes = _lists(), _lists(), _lists()
    for layer in progress.each(
        range(recorded.n_layers), f"scores {recorded.folder.name}", unit="layer"
    ):
        parts: list[_Block] = []
        n_neurons = recorded.n_neurons(layer)
        for some in neuron_blocks(max(len(first.rows), len(second.rows)), n_neurons):
            one, two = (recorded.block(layer, half.rows, some) for half in (first, second))
            found = asked.score(one, two)
            gap = gaps.of_layer(one, two, first, second, cast.relations)
            parts.append((found, gap, [one.float().abs().mean(0), one.float().abs().amax(0)]))
        for kind, blocks in zip((scores, layer_gaps, sizes), zip(*parts, strict=True), strict=True):
            kind.append([torch.cat(same, -1) for same in zip(*blocks, strict=True)])
    n, m = len(cast.relations), len(cast.no_siblings)
    mean, largest = (torch.stack(part) for part in zip(*sizes, strict=True))
    whole = _unit_scores(cast.all, scores)
    scores.clear()  # they are as large
    return Scored(
        relations=part(whole, range(n)),
        gaps=gaps.stacked(cast.relations, layer_gaps),
        probe=probe.weights(recorded, first.rows, first.relations),
        counts={u.name: _counts(u, first, n_facts[u.name]) for u in cast.relations},
        no_siblings=part(whole, range(n, n + m)),
        chimeras=part(whole, range(n + m, len(cast.all))),
        size=Size(mean, largest),
    )


def _lists() -> list[list[Tensor]]:
    return []


class _Asked:
    """The comparisons of some units on both halves, and how their scores are combined."""

    def __init__(
        self, units: Sequence[Unit], first: Layout, second: Layout, how: OverTemplates
    ) -> None:
        self._first, self._second, self._how = first, second, how
        self._own = [[first.compare(b, u) for b in u.blocks] for u in units]
        self._held = [[second.compare(b, u) for b in u.held_out] for u in units]
        self._test = [[second.compare(u.testing, u)] if u.testing else [] for u in units]

    def score(
        self, one: Float[Tensor, "first neuron"], two: Float[Tensor, "second neuron"]
    ) -> list[Float[Tensor, "row neuron"]]:
        """Return a layer's score, held-out score, testing score, and scores by template."""
        own = block_precision.precision(one, self._first, _flat(self._own))
        held = block_precision.precision(two, self._second, _flat(self._held + self._test))
        tested = iter(held[sum(map(len, self._held)) :])
        missing = torch.full_like(held[0], torch.nan)
        return [
            self._robust(own, self._own),
            self._robust(held, self._held),
            torch.stack([next(tested) if test else missing for test in self._test]),
            own,
        ]

    def _robust(
        self, found: Float[Tensor, "comparison neuron"], asked: Sequence[Sequence[Comparison]]
    ) -> Float[Tensor, "unit neuron"]:
        parts = torch.split(found[: sum(map(len, asked))], [len(one) for one in asked])
        return torch.stack([average_precision.template_robust(p, self._how) for p in parts])


def _flat(asked: Sequence[Sequence[Comparison]]) -> list[Comparison]:
    return [one for unit in asked for one in unit]


def _unit_scores(units: Sequence[Unit], layers: Sequence[Sequence[Tensor]]) -> UnitScores:
    score, held_out, testing, own = (torch.stack(part, 1) for part in zip(*layers, strict=True))
    rows = iter(own)
    return UnitScores(
        names=tuple(u.name for u in units),
        score=score,
        held_out=held_out,
        testing=testing,
        by_template=tuple({b.template: next(rows) for b in u.blocks} for u in units),
    )


def part(scores: UnitScores, which: Sequence[int]) -> UnitScores:
    """Return some of the units, in this order."""
    rows = list(which)
    return UnitScores(
        names=tuple(scores.names[i] for i in rows),
        score=scores.score[rows],
        held_out=scores.held_out[rows],
        testing=scores.testing[rows],
        by_template=tuple(scores.by_template[i] for i in rows),
    )


def _counts(unit: Unit, first: Layout, n_facts: tuple[int, int]) -> Counts:
    own = sum(len(p) for b, p in first.blocks.items() if b.relation == unit.name)
    others = len(first.rows) - own
    sizes = np.array([len(first.blocks[b]) for b in unit.blocks])
    return Counts(
        *n_facts,
        prevalence=float((sizes / (sizes + others)).mean()),
        templates=tuple(b.template for b in unit.blocks),
        held_out_templates=tuple(b.template for b in unit.held_out),
    )
