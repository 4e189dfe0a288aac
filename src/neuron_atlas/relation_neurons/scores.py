"""Scores of every neuron for every relation: does it respond whatever the entity and wording?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.activations import files
from neuron_atlas.pipeline import progress
from neuron_atlas.relation_neurons import average_precision
from neuron_atlas.relation_neurons.settings import OverTemplates


@dataclass(frozen=True)
class Design:
    """Which prompts are compared, in one language and one half of the subjects.

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


def lay_out(index: pd.DataFrame, relations: Sequence[str], half: str) -> Design:
    """Lay out the comparison of each (relation, template) against all other relations.

    A template is never compared with its own relation's other templates, so a neuron that responds
    to one wording scores high on that wording only (see `robust`).

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

    A fact counts if any of its paraphrases was answered right; a relation's number is that of its
    half with fewer facts.
    """
    right = index[index["correct"]]
    halves = _counts(right, sorted(right["relation"].unique()))
    least = {relation: min(both) for relation, both in halves.items()}
    enough = {relation: n for relation, n in least.items() if n >= min_facts}
    return enough, {relation: n for relation, n in least.items() if n < min_facts}


def group_precision(
    values: Float[Tensor, "prompt neuron"], design: Design
) -> Float[Tensor, "group neuron"]:
    """Return the average precision of each neuron for each (relation, template), in (0, 1]."""
    found = average_precision.average_precision(
        values[design.rows], design.groups, ignore=design.ignore
    )
    return found.float()


def robust(
    by_group: Float[Tensor, "group *neuron"], design: Design, how: OverTemplates
) -> Float[Tensor, "relation *neuron"]:
    """Return a relation's score: the least (or mean) average precision over its templates.

    Liu et al. (2025, section 3.1) score all prompts of a relation at once, and nearly all of them
    share one template; the least over templates asks for a response to every wording.
    """
    return torch.stack(
        [
            average_precision.template_robust(by_group[torch.from_numpy(design.owner == i)], how)
            for i in range(len(design.relations))
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
    """Sizes of activations over the identification prompts that were answered right."""

    mean: Float[Tensor, "layer neuron"]  # of the absolute value
    largest: Float[Tensor, "layer neuron"]


@dataclass(frozen=True)
class ScoredSource:
    """Scores and activation sizes of one source."""

    scored: Scored
    size: Size


def score_language(
    folder: Path,
    relations: Sequence[str],
    *,
    how: OverTemplates,
    n_layers: int,
    n_permutations: int,
    n_null_neurons: int,
    rng: np.random.Generator,
) -> ScoredSource:
    """Score every neuron of one language for every relation, one layer in memory at a time."""
    index = files.read_index(folder)
    first, second = (lay_out(index, relations, h) for h in ("identification", "held_out"))
    layers: list[list[Tensor]] = []
    null, sizes = [], []
    for layer in progress.each(range(n_layers), f"scores {folder.name}", unit="layer"):
        values = files.read_layer(folder, layer)
        layers.append([*_layer(values, first), *_layer(values, second)])
        width = values.shape[1]
        chosen = rng.choice(width, size=min(n_null_neurons, width), replace=False)
        null.append(_null(values[first.rows][:, chosen], first, how, n_permutations, rng))
        size = values[first.rows].float().abs()
        sizes.append((size.mean(0), size.amax(0)))
    scored = _stacked(
        layers, np.concatenate(null, 1), first, second, _counts(index, relations), how
    )
    mean, largest = (torch.stack(part) for part in zip(*sizes, strict=True))
    return ScoredSource(scored, Size(mean, largest))


def _stacked(
    layers: Sequence[Sequence[Tensor]],
    null: Float[np.ndarray, "relation sample"],
    first: Design,
    second: Design,
    n_facts: dict[str, tuple[int, int]],
    how: OverTemplates,
) -> Scored:
    """Put the layers' scores on both halves together; `layers` holds two `_layer` per layer."""
    stacked = [torch.stack(part, 1) for part in zip(*layers, strict=True)]
    by_group, group_gap, gap, held_out, _, held_out_gap = stacked
    return Scored(
        relations=first.relations,
        score=robust(by_group, first, how),
        held_out=robust(held_out, second, how),
        gap=gap,
        held_out_gap=held_out_gap,
        by_template=_by_template(torch.stack([by_group, group_gap], 1), first),
        null=null,
        n_facts=n_facts,
        prevalence=_prevalence(first),
    )


def _layer(values: Float[Tensor, "prompt neuron"], design: Design) -> list[Tensor]:
    """Return average precision and gap of each group, and the gap of each whole relation."""
    used = values[design.rows]
    own = range(len(design.relations))
    whole = torch.stack([design.groups[torch.from_numpy(design.owner == i)].any(0) for i in own])
    gaps = average_precision.standardised_gap(used, design.groups, ignore=design.ignore)
    relation_gaps = average_precision.standardised_gap(used, whole)
    return [group_precision(values, design), gaps.float(), relation_gaps.float()]


def _by_template(
    by_group: Float[Tensor, "group score_gap layer neuron"], design: Design
) -> tuple[dict[int, Tensor], ...]:
    return tuple(
        {int(design.template[g]): by_group[int(g)] for g in np.flatnonzero(design.owner == i)}
        for i in range(len(design.relations))
    )


def _null(
    values: Float[Tensor, "prompt neuron"],
    design: Design,
    how: OverTemplates,
    n_permutations: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "relation sample"]:
    shuffled = average_precision.permutation_null(
        values, design.groups, n_permutations=n_permutations, rng=rng, ignore=design.ignore
    )
    found = [robust(one.float(), design, how) for one in shuffled]
    return torch.cat(found, 1).numpy()


def _counts(index: pd.DataFrame, relations: Sequence[str]) -> dict[str, tuple[int, int]]:
    right = index[index["correct"]]
    counts = right.groupby(["relation", "split"])["fact"].nunique()
    return {
        r: (int(counts.get((r, "identification"), 0)), int(counts.get((r, "held_out"), 0)))
        for r in relations
    }


def _prevalence(design: Design) -> Float[np.ndarray, " relation"]:
    positive = design.groups.sum(1).numpy()
    share = positive / (~design.ignore).sum(1).numpy()
    return np.array([share[design.owner == i].mean() for i in range(len(design.relations))])
