"""Scores of one source on disk, so that they need not be computed again."""

import json
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons.scores import Scored, ScoredSource, Size

TENSORS = ("score", "held_out", "gap", "held_out_gap")
ARRAYS = ("null", "prevalence")
FACTS = "n_facts"  # in the file's metadata, by relation, in the order of the relations


def write(path: Path, one: ScoredSource) -> None:
    """Write scores and activation sizes to a safetensors file."""
    tensors = {name: getattr(one.scored, name) for name in TENSORS}
    tensors |= {name: torch.from_numpy(getattr(one.scored, name)) for name in ARRAYS}
    tensors |= {f"size {field.name}": getattr(one.size, field.name) for field in fields(Size)}
    for relation, by_template in zip(one.scored.relations, one.scored.by_template, strict=True):
        tensors |= {f"template {t} {relation}": found for t, found in by_template.items()}
    about = {FACTS: json.dumps([[r, *one.scored.n_facts[r]] for r in one.scored.relations])}
    with store.atomic(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=about)


def read(path: Path) -> ScoredSource:
    """Read what `write` wrote."""
    with safe_open(path, framework="pt") as file:
        counts = {r: (first, second) for r, first, second in json.loads(file.metadata()[FACTS])}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    size = Size(*(tensors.pop(f"size {field.name}") for field in fields(Size)))
    scored = Scored(
        relations=tuple(counts),
        **{name: tensors.pop(name) for name in TENSORS},
        **{name: tensors.pop(name).numpy() for name in ARRAYS},
        by_template=_by_template(tensors, tuple(counts)),
        n_facts=counts,
    )
    return ScoredSource(scored, size)


def _by_template(
    tensors: dict[str, Tensor], relations: tuple[str, ...]
) -> tuple[dict[int, Tensor], ...]:
    found: dict[str, dict[int, Tensor]] = {relation: {} for relation in relations}
    for name in sorted(tensors):
        _, template, relation = name.split(" ", 2)
        found[relation][int(template)] = tensors[name]
    return tuple(found[relation] for relation in relations)
