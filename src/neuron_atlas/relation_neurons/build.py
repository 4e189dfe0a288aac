"""From recorded activations of all languages to the sets of relation neurons and their summary."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from safetensors.torch import save_file
from torch import Tensor

from neuron_atlas.activations import files
from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import POOLED, SETS, SIZE, SetsByRelation
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.relation_neurons import best_sets, score_files
from neuron_atlas.relation_neurons.pooling import pool
from neuron_atlas.relation_neurons.scores import ScoredSource, Size, eligible, score_language
from neuron_atlas.relation_neurons.settings import SetPlan

ALONE = "the language has no other relation to compare it with"


@dataclass(frozen=True)
class SelectedSource:
    """What one source contributes: its sets, as arrays and as a table, and their summaries."""

    sets: SetsByRelation
    table: pd.DataFrame
    rows: list[dict[str, Any]]
    size: np.ndarray
    massive: Bool[Tensor, "layer neuron"]
    banned: Bool[Tensor, "layer neuron"]


def build(
    folders: Mapping[str, Path], out: Path, plan: SetPlan, *, keys: Mapping[str, str]
) -> None:
    """Write `summary.json` and, for each language and all pooled, its sets to the folder `out`.

    Args:
        folders: Each language's activations.
        out: The folder to make.
        plan: Sizes of sets and of what they are compared with.
        keys: Of each language, what its scores depend on: the activations and `SetPlan.of_scores`.
            Scores that an earlier run left under the same key are read; see
            `checkpoints.remembered`.

    Raises:
        ValueError: no language has two relations with enough known facts, or `k` is too large.
    """
    meta = files.read_meta(next(iter(folders.values())))
    skipped: list[dict[str, Any]] = []
    found: dict[str, ScoredSource] = {}
    for language, folder in folders.items():
        relations, left_out = _usable(language, folder, min_facts=plan.min_facts)
        skipped += left_out
        if relations:
            found[language] = checkpoints.remembered(
                keys[language],
                partial(_scored, language, folder, relations, int(meta["n_layers"]), plan),
                write=score_files.write,
                read=score_files.read,
            )
    if not found:
        raise ValueError(
            f"no language of {list(folders)} has two relations with {plan.min_facts} known facts "
            "in each half; lower relation_neurons.min_facts"
        )
    found[POOLED] = _pooled(list(found.values()))
    parts = {source: _source(source, one, plan) for source, one in found.items()}
    with store.whole(out) as folder:
        _write(folder, parts, list(folders))
        about = {"site": meta["site"], "pooling": meta["pooling"]}
        summary = {"k": plan.k, **about, "skipped": skipped}
        summary |= _summary(parts, found[POOLED], list(folders))
        store.write_json(folder / "summary.json", summary)


def _usable(
    language: str, folder: Path, *, min_facts: int
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the language's relations that can be compared with others, and why the rest cannot."""
    relations, short = eligible(files.read_index(folder), min_facts=min_facts)
    skipped = []
    if len(relations) < 2:
        skipped = [_skip(language, r, n, ALONE) for r, n in relations.items()]
        relations = {}
    reason = f"fewer than {min_facts} known facts in a half of the subjects"
    skipped += [_skip(language, r, n, reason) for r, n in short.items()]
    return list(relations), skipped


def _scored(
    language: str, folder: Path, relations: list[str], n_layers: int, plan: SetPlan
) -> ScoredSource:
    return score_language(
        folder,
        relations,
        how=plan.templates,
        n_layers=n_layers,
        n_permutations=plan.n_permutations,
        n_null_neurons=plan.n_null_neurons,
        rng=np.random.default_rng([plan.seed, *language.encode()]),
    )


def _source(source: str, one: ScoredSource, plan: SetPlan) -> SelectedSource:
    """Select one source's sets; nothing here depends on which other languages there are."""
    size = one.size.mean.double().numpy()
    massive = torch.from_numpy(controls.massive(one.size.largest.double().numpy(), plan.massive))
    banned = massive if plan.exclude_massive else torch.zeros_like(massive)
    sets = best_sets.select(one.scored, k=plan.k, exclude=banned)
    rows = best_sets.describe(
        one.scored,
        sets,
        source=source,
        size=size,
        massive=massive,
        exclude=banned,
        n_draws=plan.n_draws,
        rng=np.random.default_rng([plan.seed, 1, *source.encode()]),
    )
    table = best_sets.table(one.scored, sets, source=source, massive=massive)
    return SelectedSource(sets, table, rows, size, massive, banned)


def _pooled(found: list[ScoredSource]) -> ScoredSource:
    size = Size(
        torch.stack([f.size.mean for f in found]).mean(0),
        torch.stack([f.size.largest for f in found]).amax(0),
    )
    return ScoredSource(pool([f.scored for f in found]), size)


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
        shown = part or empty
        tensors = {"size": torch.from_numpy(shown.size).float(), "banned": shown.banned}
        with store.atomic(folder / source / SIZE) as temporary:
            save_file(tensors, temporary, metadata={"axes": "layer neuron"})


def _summary(
    parts: Mapping[str, SelectedSource], pooled: ScoredSource, languages: list[str]
) -> dict[str, Any]:
    n_layers, n_neurons = pooled.size.mean.shape
    own = {name: part.sets for name, part in parts.items() if name != POOLED}
    return {
        "n_layers": n_layers,
        "n_neurons": n_neurons,
        "relations": list(pooled.scored.relations),
        "languages": languages,
        "n_massive": int(parts[POOLED].massive.sum()),
        "sets": [row for part in parts.values() for row in part.rows],
        "overlap": best_sets.overlaps(parts[POOLED].sets, n_layers=n_layers, n_neurons=n_neurons),
        "language_overlap": best_sets.language_overlaps(own, n_layers * n_neurons),
    }


def _skip(language: str, relation: str, n_facts: int, reason: str) -> dict[str, Any]:
    return {"source": language, "relation": relation, "n_facts": n_facts, "reason": reason}
