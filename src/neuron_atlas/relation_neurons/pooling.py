"""Scores over all languages together: each relation's mean over the languages that know it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.relation_neurons.scores import Scored


def pool(languages: Sequence[Scored]) -> Scored:
    """Average each relation's scores over the languages that have enough facts of it.

    Scores are averaged, and prompts are not mixed, so that a language's own level of activation is
    not taken for a relation's.
    """
    relations = sorted({r for s in languages for r in s.relations})
    means = [_mean([_one_relation(s, r) for s in languages if r in s.relations]) for r in relations]
    width = min(len(one.null) for one in means)
    return Scored(
        relations=tuple(relations),
        score=torch.stack([one.score for one in means]),
        held_out=torch.stack([one.held_out for one in means]),
        gap=torch.stack([one.gap for one in means]),
        held_out_gap=torch.stack([one.held_out_gap for one in means]),
        by_template=tuple(one.by_template for one in means),
        null=np.stack([one.null[:width] for one in means]),
        n_facts={r: one.n_facts for r, one in zip(relations, means, strict=True)},
        prevalence=np.array([one.prevalence for one in means]),
    )


@dataclass(frozen=True)
class _OneRelation:
    """What `Scored` holds of one relation."""

    score: Float[Tensor, "layer neuron"]
    held_out: Float[Tensor, "layer neuron"]
    gap: Float[Tensor, "layer neuron"]
    held_out_gap: Float[Tensor, "layer neuron"]
    by_template: dict[int, Float[Tensor, "score_gap layer neuron"]]
    null: Float[np.ndarray, " sample"]
    n_facts: tuple[int, int]
    prevalence: float


def _one_relation(scored: Scored, relation: str) -> _OneRelation:
    i = scored.relations.index(relation)
    return _OneRelation(
        score=scored.score[i],
        held_out=scored.held_out[i],
        gap=scored.gap[i],
        held_out_gap=scored.held_out_gap[i],
        by_template=scored.by_template[i],
        null=scored.null[i],
        n_facts=scored.n_facts[relation],
        prevalence=float(scored.prevalence[i]),
    )


def _mean(languages: Sequence[_OneRelation]) -> _OneRelation:
    """Average one relation over languages: the templates that all have, the facts of all."""

    def mean(parts: list[Tensor]) -> Tensor:
        return torch.stack(parts).mean(0)

    everywhere = sorted(set.intersection(*(set(one.by_template) for one in languages)))
    n_null = min(len(one.null) for one in languages)
    return _OneRelation(
        score=mean([one.score for one in languages]),
        held_out=mean([one.held_out for one in languages]),
        gap=mean([one.gap for one in languages]),
        held_out_gap=mean([one.held_out_gap for one in languages]),
        by_template={t: mean([one.by_template[t] for one in languages]) for t in everywhere},
        null=np.asarray(np.mean([one.null[:n_null] for one in languages], axis=0)),
        n_facts=(
            sum(one.n_facts[0] for one in languages),
            sum(one.n_facts[1] for one in languages),
        ),
        prevalence=float(np.mean([one.prevalence for one in languages])),
    )
