"""Scores of one source on disk, so that they need not be computed again."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from neuron_atlas.detectors.gaps import Gaps
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons.scores import (
    Counts,
    Scored,
    ScoredSource,
    Size,
    UnitScores,
)

UNITS = ("relations", "no_siblings", "chimeras")
GAPS = ("identification", "held_out")


def write(path: Path, found: ScoredSource) -> None:
    """Write scores, tie-breakers, activation sizes and chimeras to a safetensors file."""
    one = found.scored
    tensors = {f"size {field.name}": getattr(one.size, field.name) for field in fields(Size)}
    for kind in UNITS:
        units: UnitScores = getattr(one, kind)
        tensors |= {f"{kind} {x}": getattr(units, x) for x in ("score", "held_out", "testing")}
        tensors |= _by_template(f"{kind} template", units.by_template)
    tensors |= {f"gaps {name}": getattr(one.gaps, name) for name in GAPS}
    tensors |= _by_template("gaps template", one.gaps.by_template) | {"probe": one.probe}
    about = {kind: json.dumps(getattr(one, kind).names) for kind in UNITS}
    about["counts"] = json.dumps({name: asdict(counts) for name, counts in one.counts.items()})
    about["null"] = json.dumps(found.null.to_dict("list"))
    with store.atomic(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=about)


def read(path: Path) -> ScoredSource:
    """Read what `write` wrote."""
    with safe_open(path, framework="pt") as file:
        about = {key: json.loads(text) for key, text in file.metadata().items()}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    n_relations = len(about["relations"])
    first, second = (tensors[f"gaps {name}"] for name in GAPS)
    scored = Scored(
        **{kind: _units(tensors, kind, about[kind]) for kind in UNITS},
        gaps=Gaps(first, second, _templates(tensors, "gaps template", n_relations)),
        probe=tensors["probe"],
        counts={name: _counts(**counts) for name, counts in about["counts"].items()},
        size=Size(*(tensors[f"size {field.name}"] for field in fields(Size))),
    )
    return ScoredSource(scored, pd.DataFrame(about["null"]))


def _units(tensors: dict[str, Tensor], kind: str, names: list[str]) -> UnitScores:
    return UnitScores(
        names=tuple(names),
        score=tensors[f"{kind} score"],
        held_out=tensors[f"{kind} held_out"],
        testing=tensors[f"{kind} testing"],
        by_template=_templates(tensors, f"{kind} template", len(names)),
    )


def _counts(*, templates: list[int], held_out_templates: list[int], **numbers: Any) -> Counts:
    return Counts(
        **numbers, templates=tuple(templates), held_out_templates=tuple(held_out_templates)
    )


def _by_template(prefix: str, found: tuple[dict[int, Tensor], ...]) -> dict[str, Tensor]:
    return {f"{prefix} {i} {t}": one for i, row in enumerate(found) for t, one in row.items()}


def _templates(tensors: dict[str, Tensor], prefix: str, n: int) -> tuple[dict[int, Tensor], ...]:
    found: list[dict[int, Tensor]] = [{} for _ in range(n)]
    for name in sorted(tensors):
        if name.startswith(prefix):
            i, template = name.removeprefix(prefix).split()
            found[int(i)][int(template)] = tensors[name]
    return tuple(found)
