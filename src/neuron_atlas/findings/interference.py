"""Sum up interference and transfer over all languages: tables, estimates and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.findings import effects, interference_verdicts
from neuron_atlas.findings.audits import audited
from neuron_atlas.findings.settings import Effects
from neuron_atlas.findings.verdict import ALPHA
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.estimates import Estimate

SHARED = 0.05  # corrected p-value below which two sets overlap beyond chance
RELATION_ROWS: dict[str, effects.Mask] = {
    "within": lambda t: (t["kind"] == "set") & (t["relation"] == t["measured"]),
    "across": lambda t: (t["kind"] == "set") & (t["relation"] != t["measured"]),
    "random": lambda t: (t["kind"] == "random") & (t["relation"] == t["measured"]),
}
LANGUAGE_ROWS: dict[str, effects.Mask] = {
    "within_language": lambda t: (t["kind"] == "transfer") & (t["source"] == t["language"]),
    "across_language": lambda t: (
        (t["kind"] == "transfer") & (t["source"] != t["language"]) & (t["source"] != POOLED)
    ),
    "pooled": lambda t: (t["kind"] == "transfer") & (t["source"] == POOLED),
    "random": lambda t: t["kind"] == "transfer_random",
}


@dataclass(frozen=True)
class Measured:
    """Where the measurements are.

    Attributes:
        interference: Each language's measured interventions.
        transfer: The measured transfer between languages.
        relation_neurons: Folder of the relation neurons, for how far their sets overlap.
    """

    interference: Mapping[str, Path]
    transfer: Path
    relation_neurons: Path


def write_summary(measured: Measured, out: Path, how: Effects, *, applied: Interference) -> None:
    """Write `cells`, `doses`, `transfer`, `languages` (Parquet) and `summary.json` to `out`.

    Args:
        measured: Where the measurements are.
        out: The folder to make.
        how: How they are judged.
        applied: How neurons were switched off, to be repeated beside the results.
    """
    table = pd.concat(
        [store.read_table(p).assign(language=code) for code, p in measured.interference.items()],
        ignore_index=True,
    )
    moved = store.read_table(measured.transfer)
    rng = np.random.default_rng(how.seed)
    found, items = effects.cells(table), effects.dose_items(table)
    with store.whole(out) as folder:
        store.write_table(folder / "cells.parquet", found)
        curves = effects.doses(items, rng=rng, n_resamples=how.n_resamples)
        store.write_table(folder / "doses.parquet", curves)
        store.write_table(folder / "transfer.parquet", effects.transfer(moved))
        store.write_table(folder / "languages.parquet", effects.by_language(table))
        summary = {
            "value": applied.value,
            "positions": applied.positions,
            **_estimates(table, moved, items, found, rng, how.n_resamples),
            "normaliser": {
                "interference": audited(table["audited_error"]),
                "transfer": audited(moved["audited_error"]),
            },
            "n_random": int(table.loc[table["kind"] == "random", "draw"].nunique()),
            "verdicts": _verdicts(
                table, moved, items, found, measured.relation_neurons, how.negligible
            ),
        }
        store.write_json(folder / "summary.json", summary)


def _estimates(
    table: pd.DataFrame,
    moved: pd.DataFrame,
    items: pd.DataFrame,
    cells: pd.DataFrame,
    rng: np.random.Generator,
    n_resamples: int,
) -> dict[str, Any]:
    """Estimate mean effects and areas; the three draw from `rng` in this order."""
    areas = effects.areas(items, rng=rng, n_resamples=n_resamples)
    relations = effects.means(table, RELATION_ROWS, rng=rng, n_resamples=n_resamples)
    measured = {name: mask for name, mask in LANGUAGE_ROWS.items() if mask(moved).any()}
    languages = effects.means(moved, measured, rng=rng, n_resamples=n_resamples)
    return {
        "interference": {**_as_dicts(relations), **_significant(cells)},
        "cumulativity": _as_dicts(
            {f"area_{'rank_order' if n == 'rank' else n}": a for n, a in areas.items()}
        ),
        "transfer": _as_dicts(languages),
    }


def _significant(cells: pd.DataFrame) -> dict[str, int]:
    """Count the cells, and those that are significant after correction."""
    own, significant = cells["relation"] == cells["measured"], cells["q_value"] < ALPHA
    return {
        "n_cells": len(cells),
        "n_within_significant": int((own & significant & (cells["excess"] < 0)).sum()),
        "n_improved_significant": int((~own & significant & (cells["excess"] > 0)).sum()),
    }


def _verdicts(
    table: pd.DataFrame,
    moved: pd.DataFrame,
    items: pd.DataFrame,
    cells: pd.DataFrame,
    sets: Path,
    negligible: float,
) -> dict[str, Any]:
    pairs = store.read_json(sets / "summary.json")["overlap"]
    beyond = [p for p in pairs if p["q_value"] < SHARED and p["count"] > p["expected_within_layer"]]
    shared = (len(beyond), len(pairs))
    found = {
        "relation_neurons_exist": interference_verdicts.relation_neurons_exist(
            table, negligible=negligible
        ),
        "cumulativity": interference_verdicts.cumulativity(items, table, negligible=negligible),
        "versatility_relations": interference_verdicts.versatility_relations(
            table, cells, shared, negligible=negligible
        ),
        "versatility_languages": interference_verdicts.versatility_languages(
            moved, negligible=negligible
        ),
        "interference": interference_verdicts.interference(cells, negligible=negligible),
    }
    return {claim: verdict.as_dict() for claim, verdict in found.items() if verdict}


def _as_dicts(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: estimate.as_dict() for name, estimate in estimates.items()}
