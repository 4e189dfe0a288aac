"""Scores over all languages together: each relation's mean over the languages that know it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from neuron_atlas.detectors.gaps import Gaps
from neuron_atlas.relation_neurons.scores import Counts, Scored, Size, UnitScores


def pool(languages: Sequence[Scored]) -> Scored:
    """Average each relation's scores over the languages that have enough facts of it.

    Scores are averaged, and prompts are not mixed, so that a language's own level of activation is
    not taken for a relation's. A chimera is pooled as a relation is: its blocks are the same in all
    languages, and it is a mean over those that can score them all. Those are fewer as a rule, so
    that a pooled chimera's score is the less smoothed and its best are higher: the null is strict.
    """
    relations = pool_units([one.relations for one in languages])
    return Scored(
        relations=relations,
        gaps=_gaps(languages, relations.names),
        probe=_probe(languages, relations.names),
        counts={name: _counts(languages, name) for name in relations.names},
        no_siblings=pool_units([one.no_siblings for one in languages]),
        chimeras=pool_units([one.chimeras for one in languages]),
        size=Size(
            torch.stack([one.size.mean for one in languages]).mean(0),
            torch.stack([one.size.largest for one in languages]).amax(0),
        ),
    )


def pool_units(languages: Sequence[UnitScores]) -> UnitScores:
    """Average each unit over the languages that have it: the templates that all of them have."""
    names = tuple(sorted({name for one in languages for name in one.names}))
    found = [
        [(one, one.names.index(name)) for one in languages if name in one.names] for name in names
    ]
    empty = languages[0].score[:0]

    def mean(of: Callable[[UnitScores], Tensor]) -> Tensor:
        means = [torch.stack([of(one)[i] for one, i in rows]).nanmean(0) for rows in found]
        return torch.stack(means) if means else empty

    return UnitScores(
        names=names,
        score=mean(lambda one: one.score),
        held_out=mean(lambda one: one.held_out),
        testing=mean(lambda one: one.testing),
        by_template=tuple(_everywhere([one.by_template[i] for one, i in rows]) for rows in found),
    )


def _everywhere(by_template: Sequence[dict[int, Tensor]]) -> dict[int, Tensor]:
    shared = sorted(set.intersection(*(set(one) for one in by_template)))
    return {t: torch.stack([one[t] for one in by_template]).mean(0) for t in shared}


def _gaps(languages: Sequence[Scored], names: Sequence[str]) -> Gaps:
    found = [
        [(one.gaps, one.relations.names.index(name)) for one in languages if name in one.counts]
        for name in names
    ]

    def mean(of: Callable[[Gaps], Tensor]) -> Tensor:
        return torch.stack([torch.stack([of(g)[i] for g, i in rows]).mean(0) for rows in found])

    return Gaps(
        mean(lambda g: g.identification),
        mean(lambda g: g.held_out),
        tuple(_everywhere([g.by_template[i] for g, i in rows]) for rows in found),
    )


def _probe(languages: Sequence[Scored], names: Sequence[str]) -> Tensor:
    found = [
        [one.probe[one.relations.names.index(name)] for one in languages if name in one.counts]
        for name in names
    ]
    return torch.stack([torch.stack(rows).mean(0) for rows in found])


def _counts(languages: Sequence[Scored], name: str) -> Counts:
    """Return the facts of all languages, and the templates that any of them used."""
    found = [one.counts[name] for one in languages if name in one.counts]
    return Counts(
        identification=sum(one.identification for one in found),
        held_out=sum(one.held_out for one in found),
        prevalence=float(np.mean([one.prevalence for one in found])),
        templates=tuple(sorted({t for one in found for t in one.templates})),
        held_out_templates=tuple(sorted({t for one in found for t in one.held_out_templates})),
    )
