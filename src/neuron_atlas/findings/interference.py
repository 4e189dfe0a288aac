"""Sum up interference, transfer and sufficiency over all languages: tables and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.arms.settings import Interference
from neuron_atlas.findings import effects, flips, relation_effects, selectors
from neuron_atlas.findings.audits import audited
from neuron_atlas.findings.settings import Effects
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.estimates import Estimate
from neuron_atlas.verdicts import arms, relation_verdicts, selector_verdict, sharing_verdicts
from neuron_atlas.verdicts.verdict import ALPHA, Verdict

TABLES = (
    *("contrasts", "cells", "doses", "pushes", "transfer", "languages", "selectors"),
    *("own", "cells_by_language"),
)


@dataclass(frozen=True)
class Measured:
    """Where the measurements are.

    Attributes:
        interference: Each language's measured interventions.
        transfer: The measured transfer between languages.
        sufficiency: Each language's installed values.
        selectors: Each language's measured interventions on other selectors' sets.
        selector_sets: The neurons of these sets.
    """

    interference: Mapping[str, Path]
    transfer: Path
    sufficiency: Mapping[str, Path]
    selectors: Mapping[str, Path] = field(default_factory=dict)
    selector_sets: Mapping[str, Path] = field(default_factory=dict)


def write_summary(measured: Measured, out: Path, how: Effects, *, applied: Interference) -> None:
    """Write the tables of `TABLES` (Parquet) and `summary.json` to `out`.

    Args:
        measured: Where the measurements are.
        out: The folder to make.
        how: How they are judged.
        applied: How neurons were switched off, to be repeated beside the results.
    """
    table, installed = _joined(measured.interference), _joined(measured.sufficiency)
    moved = store.read_table(measured.transfer)
    other = _joined(measured.selectors)
    rivals = selectors.beside_average_precision(table, installed, other)
    items = effects.dose_items(table)
    tables = {
        "contrasts": effects.contrasts(table),
        "cells": effects.cells(table),
        "doses": effects.doses(items),
        "pushes": effects.pushes(table),
        "transfer": effects.transfer(moved),
        "languages": effects.by_language(table),
        "selectors": selectors.compared(rivals, _joined(measured.selector_sets)),
        "own": relation_effects.own_effects(table),
        "cells_by_language": relation_effects.cells_by_language(table),
    }
    summary = {
        "value": applied.value,
        "positions": applied.positions,
        "n_random": applied.n_draws,
        "interference": {**_within(table), **_significant(tables["cells"])},
        "contrasts": _nested(tables["contrasts"]),
        "flips": flips.flips(table),
        "texts": flips.texts(table),
        "cumulativity": _areas(items),
        "transfer": _transfer(moved),
        "selectors": _by_selector(tables["selectors"]),
        "normaliser": {
            "interference": audited(table["audited_error"]),
            "transfer": audited(moved["audited_error"]),
            "sufficiency": audited(installed["audited_error"]),
            **({"selectors": audited(other["audited_error"])} if len(other) else {}),
        },
        "verdicts": {
            claim: verdict.as_dict()
            for claim, verdict in _verdicts(table, moved, installed, rivals, how.negligible).items()
        },
    }
    with store.whole(out) as folder:
        for name in TABLES:
            store.write_table(folder / f"{name}.parquet", tables[name])
        store.write_json(folder / "summary.json", summary)


def _joined(files: Mapping[str, Path]) -> pd.DataFrame:
    """Join the languages' tables; empty if nothing was measured."""
    if not files:
        return pd.DataFrame()
    parts = [store.read_table(path).assign(language=code) for code, path in files.items()]
    return pd.concat(parts, ignore_index=True)


def _verdicts(
    table: pd.DataFrame,
    moved: pd.DataFrame,
    installed: pd.DataFrame,
    rivals: pd.DataFrame,
    negligible: float,
) -> dict[str, Verdict]:
    return {
        "relation_neurons_exist": relation_verdicts.relation_neurons_exist(
            table, negligible=negligible
        ),
        "relation_neurons_suffice": relation_verdicts.relation_neurons_suffice(
            installed, negligible=negligible
        ),
        "cumulativity": relation_verdicts.cumulativity(table, negligible=negligible),
        "versatility_relations": sharing_verdicts.versatility_relations(
            table, negligible=negligible
        ),
        "versatility_languages": relation_verdicts.versatility_languages(
            moved, negligible=negligible
        ),
        "interference": sharing_verdicts.interference(table, negligible=negligible),
        "average_precision_beats_other_selectors": (
            selector_verdict.average_precision_beats_other_selectors(rivals, negligible=negligible)
        ),
    }


def _within(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean effects of sets on their own and other relations, and of their controls."""
    rows = arms.held_out(table, right=True)
    sets, own = arms.of_kind(rows, "set"), arms.own(rows)
    parts = {
        "within": arms.own(sets),
        "across": sets[sets["relation"] != sets["measured"]],
        "random": arms.of_kind(own, "push_matched"),
        "size_matched": arms.of_kind(own, "size_matched"),
    }
    return _as_dicts(effects.means(parts))


def _significant(cells: pd.DataFrame) -> dict[str, int]:
    """Count the cells, and those that are significant after correction."""
    own, significant = cells["relation"] == cells["measured"], cells["p_adjusted"] < ALPHA
    return {
        "n_cells": len(cells),
        "n_within_significant": int((own & significant & (cells["excess"] < 0)).sum()),
        "n_harmed_significant": int((~own & significant & (cells["excess"] < 0)).sum()),
        "n_improved_significant": int((~own & significant & (cells["excess"] > 0)).sum()),
    }


def _areas(items: pd.DataFrame) -> dict[str, dict[str, float]]:
    areas = effects.areas(items)
    names = {order: f"area_{'rank_order' if order == 'rank' else order}" for order in areas}
    return _as_dicts({names[order]: area for order, area in areas.items()})


def _transfer(moved: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return mean effects by where sets were found, all on the relations that a language knows."""
    rows = arms.held_out(moved, right=True)
    sets = arms.own(arms.of_kind(rows, "transfer"))
    within = sets[sets["source"] == sets["language"]]
    pooled = sets[(sets["source"] == POOLED) & sets["item"].isin(within["item"])]
    foreign = (sets["source"] != sets["language"]) & (sets["source"] != POOLED)
    parts = {
        "within_language": within,
        "across_language": sets[foreign],
        "pooled": pooled,
        "random": arms.of_kind(rows, "transfer_matched"),
    }
    found = effects.means(parts)
    abroad = rows[(rows["source"] != rows["language"]) & (rows["source"] != POOLED)]
    specific = relation_verdicts.beyond_language_specific(abroad)
    if specific.n_relations >= arms.MIN_RELATIONS:
        found["beyond_language_specific"] = specific.tested().effect
    return _as_dicts(found)


def _nested(contrasts: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in contrasts.to_dict("records"):
        place = found.setdefault(row.pop("questions"), {}).setdefault(row.pop("control"), {})
        place[row.pop("part")] = row
    return found


def _by_selector(table: pd.DataFrame) -> dict[str, Any]:
    """Return the table by selector; a number that too few relations leave unknown is None."""
    known = table.astype(object).where(table.notna(), None)
    return {row.pop("selector"): row for row in known.to_dict("records")}


def _as_dicts(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: estimate.as_dict() for name, estimate in estimates.items()}
