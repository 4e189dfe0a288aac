"""From recorded activations of all languages to the sets of relation neurons and their summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float64
from safetensors.torch import save_file
from torch import Tensor

from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import (
    NO_SIBLINGS,
    POOLED,
    SELECTORS,
    SETS,
    SIZE,
    SetsByRelation,
)
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.relation_neurons import best_sets, best_units, score_files, set_overlaps
from neuron_atlas.relation_neurons.casting import Language
from neuron_atlas.relation_neurons.pooling import pool
from neuron_atlas.relation_neurons.scores import (
    Scored,
    ScoredSource,
    part,
    score_language,
)
from neuron_atlas.relation_neurons.settings import SetPlan


@dataclass(frozen=True)
class SelectedSource:
    """What one source contributes: its sets, as arrays and as tables, and their summaries."""

    sets: SetsByRelation
    table: pd.DataFrame
    apart: pd.DataFrame
    selectors: pd.DataFrame
    rows: list[dict[str, Any]]
    siblings: list[dict[str, Any]]
    size: Float64[np.ndarray, "layer neuron"]
    massive: Bool[Tensor, "layer neuron"]
    banned: Bool[Tensor, "layer neuron"]


def build(
    given: Mapping[str, Language], out: Path, plan: SetPlan, *, seed: int, keys: Mapping[str, str]
) -> None:
    """Write `summary.json` and, for each language and all pooled, its sets to the folder `out`.

    Args:
        given: What is scored in each language; see `casting.languages`.
        out: The folder to make.
        plan: Sizes of sets and of what they are compared with.
        seed: Of the random controls.
        keys: Of each language, what its scores depend on: the activations, what is scored, and
            `SetPlan.of_scores`. Scores that an earlier run left under the same key are read; see
            `checkpoints.remembered`.

    Raises:
        ValueError: `k` is too large.
    """
    meta = next(iter(given.values())).values.meta
    found = {
        language: checkpoints.remembered(
            keys[language],
            partial(_scored, one, plan),
            write=score_files.write,
            read=score_files.read,
        )
        for language, one in given.items()
        if one.eligible.relations
    }
    found[POOLED] = _pooled([one.scored for one in found.values()], plan)
    parts = {source: _source(source, one, plan, seed) for source, one in found.items()}
    with store.whole(out) as folder:
        _write(folder, parts, list(given))
        about = {"site": meta["site"], "pooling": meta["pooling"]}
        summary = {"k": plan.k, **about, "skipped": _skipped(given)}
        summary |= _summary(parts, found[POOLED].scored, list(given))
        store.write_json(folder / "summary.json", summary)


def _skipped(given: Mapping[str, Language]) -> list[dict[str, Any]]:
    return [
        {"source": language, **left._asdict()}
        for language, one in given.items()
        for left in one.eligible.left_out
    ]


def _scored(one: Language, plan: SetPlan) -> ScoredSource:
    """Score a language, and keep of its chimeras those that are pooled."""
    found = score_language(one.values, one.cast, one.eligible.n_facts, how=plan.templates)
    names = [unit.name for unit in one.cast.chimeras]
    null = best_units.null(found.chimeras, names, k=plan.k, exclude=_banned(found, plan))
    shared = [found.chimeras.names.index(unit.name) for unit in one.cast.shared]
    return ScoredSource(replace(found, chimeras=part(found.chimeras, shared)), null)


def _pooled(found: Sequence[Scored], plan: SetPlan) -> ScoredSource:
    scored = pool(found)
    names = scored.chimeras.names
    null = best_units.null(scored.chimeras, names, k=plan.k, exclude=_banned(scored, plan))
    return ScoredSource(scored, null)


def _massive(scored: Scored, plan: SetPlan) -> Bool[Tensor, "layer neuron"]:
    largest = scored.size.largest.double().numpy()
    return torch.from_numpy(controls.massive(largest, plan.massive))


def _banned(scored: Scored, plan: SetPlan) -> Bool[Tensor, "layer neuron"]:
    massive = _massive(scored, plan)
    return massive if plan.exclude_massive else torch.zeros_like(massive)


def _source(source: str, one: ScoredSource, plan: SetPlan, seed: int) -> SelectedSource:
    """Select one source's sets; nothing here depends on which other languages there are."""
    scored = one.scored
    massive, banned = _massive(scored, plan), _banned(scored, plan)
    sets = best_sets.select(scored, k=plan.k, exclude=banned)
    apart = best_sets.without_siblings(scored, k=plan.k, exclude=banned)
    rows = best_sets.describe(
        scored,
        sets,
        one.null,
        source=source,
        massive=massive,
        exclude=banned,
        n_draws=plan.n_draws,
        seed=seed,
    )
    return SelectedSource(
        sets,
        best_sets.table(scored.relations, sets, source=source, massive=massive),
        best_sets.table(scored.no_siblings, apart, source=source, massive=massive),
        best_sets.by_other_selectors(scored, k=plan.k, exclude=banned),
        rows,
        best_sets.siblings_apart(scored, sets, apart, source=source),
        scored.size.mean.double().numpy(),
        massive,
        banned,
    )


def _write(folder: Path, parts: Mapping[str, SelectedSource], languages: list[str]) -> None:
    """Write each source to its own folder, so that a language's stages depend on its sets only."""
    store.write_table(
        folder / SETS, pd.concat([part.table for part in parts.values()], ignore_index=True)
    )
    empty = parts[POOLED]
    for source in [*languages, POOLED]:
        part = parts.get(source)
        table = part.table if part else empty.table.iloc[:0]
        store.write_table(folder / source / SETS, table)
        other = part.apart if part else empty.apart.iloc[:0]
        store.write_table(folder / source / NO_SIBLINGS, other)
        others = part.selectors if part else empty.selectors.iloc[:0]
        store.write_table(folder / source / SELECTORS, others)
        shown = part or empty
        tensors = {"size": torch.from_numpy(shown.size).float(), "banned": shown.banned}
        with store.atomic(folder / source / SIZE) as temporary:
            save_file(tensors, temporary, metadata={"axes": "layer neuron"})


def _summary(
    parts: Mapping[str, SelectedSource], pooled: Scored, languages: list[str]
) -> dict[str, Any]:
    n_layers, n_neurons = pooled.size.mean.shape
    rows = [row for part in parts.values() for row in part.rows]
    own = {name: part.sets for name, part in parts.items() if name != POOLED}
    return {
        "n_layers": n_layers,
        "n_neurons": n_neurons,
        "relations": list(pooled.relations.names),
        "languages": languages,
        "n_massive": int(parts[POOLED].massive.sum()),
        "sets": rows,
        "like_chimeras": best_sets.like_chimeras(rows),
        "siblings": [row for part in parts.values() for row in part.siblings],
        "overlap": set_overlaps.overlaps(
            parts[POOLED].sets, n_layers=n_layers, n_neurons=n_neurons
        ),
        "language_overlap": set_overlaps.language_overlaps(own, n_layers * n_neurons),
    }
