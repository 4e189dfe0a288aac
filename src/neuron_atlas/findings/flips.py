"""Answers that become wrong or right under interventions: typed predictions and written texts."""

from typing import Any

import pandas as pd

from neuron_atlas.findings.effects import MATCHED
from neuron_atlas.statistics.estimates import mcnemar
from neuron_atlas.verdicts import arms


def flips(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Count the typed answers that sets break and mend on their own relation's facts.

    One vote per fact, over languages; known and unknown facts apart, beside the mean over draws of
    push-matched sets.
    """
    own = arms.own(arms.held_out(table, right=False))
    groups = {"all": own, "known": own[own["known"]], "unknown": own[~own["known"]]}
    return {name: _flips(rows) for name, rows in groups.items() if len(rows)}


def texts(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return how texts match without intervention, under sets and under push-matched sets.

    Shares over unseen zero-shot questions of the own relation; see `scoring.text_match`.
    """
    own = arms.own(arms.held_out(table, right=False))
    read = own[own["exact_before"].notna()]
    sets, drawn = arms.of_kind(read, "set"), arms.of_kind(read, MATCHED)
    if sets.empty:
        return {}
    return {
        name: {
            "before": float(sets[f"{name}_before"].mean()),
            "set": float(sets[f"{name}_after"].mean()),
            "random": float(drawn[f"{name}_after"].mean()),
        }
        for name in ("exact", "prefix", "begins_right", "format_failure")
    }


def _flips(rows: pd.DataFrame) -> dict[str, Any]:
    sets, drawn = arms.of_kind(rows, "set"), arms.of_kind(rows, MATCHED)
    broken, mended = _broken_and_mended(sets)
    change = sets["correct_after"].astype(int) - sets["correct_before"].astype(int)
    net = change.groupby(sets["fact"].to_numpy()).sum().to_numpy()
    of_draws = _broken_and_mended(drawn)
    n_draws = max(1, drawn["draw"].nunique())
    return {
        "n_items": len(sets),
        "broken": broken,
        "mended": mended,
        "broken_random": of_draws[0] / n_draws,
        "mended_random": of_draws[1] / n_draws,
        "mcnemar_p": mcnemar(net < 0, net > 0),
    }


def _broken_and_mended(rows: pd.DataFrame) -> tuple[int, int]:
    before, after = rows["correct_before"], rows["correct_after"]
    return int((before & ~after).sum()), int((~before & after).sum())
