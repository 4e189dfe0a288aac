"""Scores of every neuron for every relation: does it respond whatever the entity and wording?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.activations import files
from neuron_atlas.relation_neurons import average_precision

OverTemplates = Literal["min", "mean"]


@dataclass(frozen=True)
class Design:
    """Which prompts of one language and half of the subjects are compared.

    Attributes:
        rows: Rows of the activation files; prompts that were answered right.
        relations: Relations with enough facts.
        owner: The relation of each group, as an index.
        template: The template of each group.
        groups: Positives of each group: the prompts of one relation and template.
        ignore: Neither positive nor negative: the relation's other templates.
    """

    rows: Int[np.ndarray, " prompt"]
    relations: tuple[str, ...]
    owner: Int[np.ndarray, " group"]
    template: Int[np.ndarray, " group"]
    groups: Bool[Tensor, "group prompt"]
    ignore: Bool[Tensor, "group prompt"]


def design(index: pd.DataFrame, relations: Sequence[str], half: str) -> Design:
    """Lay out the comparison of each (relation, template) against all other relations.

    A template is never compared with its own relation's other templates, so that a neuron that
    knows one wording scores high on that wording only (see `robust`).

    Raises:
        ValueError: fewer than two relations are given; there would be no negatives.
    """
    if len(relations) < 2:
        raise ValueError(
            f"need at least two relations with known facts in the {half} half, got "
            f"{list(relations)}; lower relation_neurons.min_facts or choose other relations"
        )
    used = index[index["correct"] & (index["split"] == half) & index["relation"].isin(relations)]
    relation, template = used["relation"].to_numpy(), used["template"].to_numpy()
    pairs = sorted(set(zip(relation, template, strict=True)))
    own = np.array([relation == r for r, _ in pairs])
    groups = own & np.array([template == t for _, t in pairs])
    return Design(
        rows=used.index.to_numpy(np.int64, copy=True),
        relations=tuple(relations),
        owner=np.array([list(relations).index(r) for r, _ in pairs]),
        template=np.array([t for _, t in pairs]),
        groups=torch.from_numpy(groups),
        ignore=torch.from_numpy(own & ~groups),
    )


def eligible(index: pd.DataFrame, *, min_facts: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the relations with `min_facts` known facts in each half, and the others.

    A fact counts with any paraphrase answered right; each relation's number is that of its poorer
    half.
    """
    right = index[index["correct"]]
    halves = _counts(right, sorted(right["relation"].unique()))
    least = {relation: min(both) for relation, both in halves.items()}
    enough = {relation: n for relation, n in least.items() if n >= min_facts}
    return enough, {relation: n for relation, n in least.items() if n < min_facts}


def group_precision(
    values: Float[Tensor, "prompt neuron"], plan: Design
) -> Float[Tensor, "group neuron"]:
    """Return the average precision of each neuron for each (relation, template), in [0, 1]."""
    found = average_precision.average_precision(values[plan.rows], plan.groups, ignore=plan.ignore)
    return found.float()


def robust(
    by_group: Float[Tensor, "group *neuron"], plan: Design, how: OverTemplates
) -> Float[Tensor, "relation *neuron"]:
    """Return a relation's score: the least (or mean) average precision over its templates.

    Liu et al. (2025, section 3.1) score all prompts of a relation at once, and nearly all of them
    share one template; the least over templates asks for a response to every wording.
    """
    return torch.stack(
        [
            average_precision.template_robust(by_group[torch.from_numpy(plan.owner == i)], how)
            for i in range(len(plan.relations))
        ]
    )


@dataclass(frozen=True)
class Scored:
    """Scores of one source (a language, or all pooled) for the relations it has enough facts of.

    Attributes:
        score: Robust average precision on the identification half.
        held_out: The same on the held-out half; subjects are disjoint.
        gap: Standardised mean difference on the identification half; breaks ties.
        held_out_gap: The same as `gap` on the held-out half.
        by_template: For each relation and template, average precision and gap, identification half.
        null: Robust average precision of sampled neurons under shuffled labels.
        n_facts: Facts of each relation in the two halves.
        prevalence: Share of positives in a template's comparison, mean over templates: chance.
    """

    relations: tuple[str, ...]
    score: Float[Tensor, "relation layer neuron"]
    held_out: Float[Tensor, "relation layer neuron"]
    gap: Float[Tensor, "relation layer neuron"]
    held_out_gap: Float[Tensor, "relation layer neuron"]
    by_template: tuple[dict[int, Float[Tensor, "score_gap layer neuron"]], ...]
    null: Float[np.ndarray, "relation sample"]
    n_facts: dict[str, tuple[int, int]]
    prevalence: Float[np.ndarray, " relation"]


@dataclass(frozen=True)
class Size:
    """How large activations are, over the right identification prompts."""

    mean: Float[Tensor, "layer neuron"]  # of the absolute value
    largest: Float[Tensor, "layer neuron"]


def score_language(
    folder: Path,
    relations: Sequence[str],
    *,
    how: OverTemplates,
    n_layers: int,
    n_permutations: int,
    n_null_neurons: int,
    rng: np.random.Generator,
) -> tuple[Scored, Size]:
    """Score every neuron of one language for every relation, one layer in memory at a time."""
    index = files.read_index(folder)
    first, second = (design(index, relations, h) for h in ("identification", "held_out"))
    layers: list[list[Tensor]] = []
    null, sizes = [], []
    for layer in range(n_layers):
        values = files.read_layer(folder, layer)
        layers.append([*_layer(values, first), *_layer(values, second)])
        width = values.shape[1]
        chosen = rng.choice(width, size=min(n_null_neurons, width), replace=False)
        null.append(_null(values[first.rows][:, chosen], first, how, n_permutations, rng))
        size = values[first.rows].float().abs()
        sizes.append((size.mean(0), size.amax(0)))
    stacked = [torch.stack(part, 1) for part in zip(*layers, strict=True)]
    by_group, group_gap, gap, held_out, _, held_out_gap = stacked
    scored = Scored(
        relations=tuple(relations),
        score=robust(by_group, first, how),
        held_out=robust(held_out, second, how),
        gap=gap,
        held_out_gap=held_out_gap,
        by_template=_by_template(torch.stack([by_group, group_gap], 1), first),
        null=np.concatenate(null, 1),
        n_facts=_counts(index, relations),
        prevalence=_prevalence(first),
    )
    return scored, Size(*(torch.stack(part) for part in zip(*sizes, strict=True)))


def _layer(values: Float[Tensor, "prompt neuron"], plan: Design) -> list[Tensor]:
    """Return average precision and gap of each group, and the gap of each whole relation."""
    used = values[plan.rows]
    own = range(len(plan.relations))
    whole = torch.stack([plan.groups[torch.from_numpy(plan.owner == i)].any(0) for i in own])
    gaps = average_precision.standardised_gap(used, plan.groups, ignore=plan.ignore)
    relation_gaps = average_precision.standardised_gap(used, whole)
    return [group_precision(values, plan), gaps.float(), relation_gaps.float()]


def _by_template(
    by_group: Float[Tensor, "group score_gap layer neuron"], plan: Design
) -> tuple[dict[int, Tensor], ...]:
    return tuple(
        {int(plan.template[g]): by_group[int(g)] for g in np.flatnonzero(plan.owner == i)}
        for i in range(len(plan.relations))
    )


def _null(
    values: Float[Tensor, "prompt neuron"],
    plan: Design,
    how: OverTemplates,
    n_permutations: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "relation sample"]:
    shuffled = average_precision.permutation_null(
        values, plan.groups, n_permutations=n_permutations, rng=rng, ignore=plan.ignore
    )
    found = [robust(one.float(), plan, how) for one in shuffled]
    return torch.cat(found, 1).numpy()


def _counts(index: pd.DataFrame, relations: Sequence[str]) -> dict[str, tuple[int, int]]:
    right = index[index["correct"]]
    counts = right.groupby(["relation", "split"])["fact"].nunique()
    return {
        r: (int(counts.get((r, "identification"), 0)), int(counts.get((r, "held_out"), 0)))
        for r in relations
    }


def _prevalence(plan: Design) -> Float[np.ndarray, " relation"]:
    positive = plan.groups.sum(1).numpy()
    share = positive / (~plan.ignore).sum(1).numpy()
    return np.array([share[plan.owner == i].mean() for i in range(len(plan.relations))])


def pool(languages: Sequence[Scored]) -> Scored:
    """Average each relation's scores over the languages that have enough facts of it.

    Averaging scores, rather than mixing prompts, keeps a language's own level of activation from
    passing for a relation's.
    """
    relations = sorted({r for s in languages for r in s.relations})

    def mean(name: str, relation: str) -> Tensor:
        found = [getattr(s, name)[s.relations.index(relation)] for s in having(relation)]
        return torch.stack(found).mean(0)

    def having(relation: str) -> list[Scored]:
        return [s for s in languages if relation in s.relations]

    def templates(relation: str) -> dict[int, Tensor]:
        parts = [s.by_template[s.relations.index(relation)] for s in having(relation)]
        everywhere = sorted(set.intersection(*(set(p) for p in parts)))
        return {t: torch.stack([p[t] for p in parts]).mean(0) for t in everywhere}

    def total(relation: str) -> tuple[int, int]:
        pairs = [s.n_facts[relation] for s in having(relation)]
        return sum(a for a, _ in pairs), sum(b for _, b in pairs)

    def null(relation: str) -> np.ndarray:
        parts = [s.null[s.relations.index(relation)] for s in having(relation)]
        n = min(len(p) for p in parts)
        return np.asarray(np.mean([p[:n] for p in parts], axis=0))

    nulls = [null(r) for r in relations]
    width = min(len(n) for n in nulls)
    return Scored(
        relations=tuple(relations),
        score=torch.stack([mean("score", r) for r in relations]),
        held_out=torch.stack([mean("held_out", r) for r in relations]),
        gap=torch.stack([mean("gap", r) for r in relations]),
        held_out_gap=torch.stack([mean("held_out_gap", r) for r in relations]),
        by_template=tuple(templates(r) for r in relations),
        null=np.stack([n[:width] for n in nulls]),
        n_facts={r: total(r) for r in relations},
        prevalence=np.array(
            [np.mean([s.prevalence[s.relations.index(r)] for s in having(r)]) for r in relations]
        ),
    )
