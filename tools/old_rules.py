"""The verdict rules until November 2026, kept to show in docs/calibration.md where they failed.

They took facts as clusters, size-matched random sets as controls, and the mean of all cells for
versatility; see `findings/interference_verdicts.py` in the history.
"""

import numpy as np
import pandas as pd

from neuron_atlas.statistics.estimates import Estimate, benjamini_hochberg, excess_over_draws
from neuron_atlas.verdicts.verdict import Verdict, Word

KEYS = ["relation", "measured", "language", "fact"]


def relation_neurons_exist(table: pd.DataFrame, *, negligible: float) -> Verdict:
    """Compare sets with size-matched random sets, facts as clusters."""
    effect, p_value = _excess(table, "size_matched")
    return Verdict(_harm(effect, p_value, negligible), effect, p_value, "")


def versatility_relations(table: pd.DataFrame, *, negligible: float) -> Verdict:
    """Compare the mean over all other relations' cells with random sets."""
    effect, p_value = _excess(table, "push_matched")
    return Verdict(_harm(effect, p_value, negligible), effect, p_value, "")


def interference(table: pd.DataFrame, *, negligible: float) -> Verdict:
    """Look for a cell that improves after correction, on answers that were right."""
    table = table[table["correct_before"]]
    parts = [part for _, part in table.groupby(["relation", "measured"], observed=True)]
    found = [_excess(part, "push_matched") for part in parts]
    q = benjamini_hochberg(np.array([p for _, p in found]))
    better = [
        i for i, (e, _) in enumerate(found) if q[i] < 0.05 and e.mean > 0 and e.high > negligible
    ]
    word: Word = "supported"
    if not better:
        highest = max(effect.high for effect, _ in found)
        word = "undecided" if highest > negligible else "not supported"
    best = max(better or range(len(found)), key=lambda i: found[i][0].mean)
    return Verdict(word, found[best][0], float(q[best]), "")


def _excess(table: pd.DataFrame, control: str) -> tuple[Estimate, float]:
    table = table[table["correct_before"]]
    own = table[table["kind"] == "set"].set_index(KEYS)["effect"].sort_index()
    draws = table[table["kind"] == control].pivot_table(
        index=KEYS, columns="draw", values="effect", observed=True
    )
    facts = own.index.get_level_values("fact").to_numpy(str)
    return excess_over_draws(own.to_numpy(), draws.reindex(own.index).to_numpy().T, facts)


def _harm(effect: Estimate, p_value: float, negligible: float) -> Word:
    if effect.low > -negligible:
        return "not supported"
    return "supported" if effect.high < 0 and p_value < 0.05 else "undecided"
