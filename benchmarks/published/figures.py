"""What the rows of all arms come to: by relation, and by control with intervals over relations."""

from collections.abc import Mapping
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import stdtrit

from published.places import Places
from published.preparing import Chosen, Known

MEASURES = ("drop", "malformed", "effect", "effect_type", "effect_given_type", "push")


def figures(
    everything: Mapping[str, Known],
    relations: Mapping[str, Known],
    chosen: Mapping[str, Chosen],
    rows: pd.DataFrame,
    raw: Places,
) -> dict[str, Any]:
    """Return all figures: `left_out`, `relations`, `comparisons`, `shared`.

    Only facts that were right without an edit are counted: of these, `drop` is the share that
    becomes wrong and `malformed` the share whose reply then begins no answer of the relation.
    Effects are changes of log-probability in nats.
    """
    counted = rows[rows["before"]].assign(
        drop=lambda t: (~t["after"]).astype(float),
        malformed=lambda t: (~t["formed_after"]).astype(float),
        effect_given_type=lambda t: t["effect"] - t["effect_type"],
    )
    return {
        "left_out": {
            r: {"asked": one.n_asked, "known": one.n_known}
            for r, one in everything.items()
            if r not in relations
        },
        "relations": {
            r: _relation(counted, r, one, chosen[r], raw) for r, one in relations.items()
        },
        "comparisons": _comparisons(counted),
        "shared": _shared(chosen),
    }


def _relation(
    counted: pd.DataFrame, relation: str, one: Known, chosen: Chosen, raw: Places
) -> dict[str, Any]:
    theirs = counted[counted["condition"] == "published"]
    own = theirs[(theirs["relation"] == relation) & (theirs["control"] == "set")]
    elsewhere = theirs[(theirs["source"] == relation) & (theirs["control"] == "other")]
    random = theirs[(theirs["relation"] == relation) & (theirs["control"] == "unmatched")]
    other_random = theirs[(theirs["relation"] != relation) & (theirs["control"] == "unmatched")]
    ours = counted[(counted["condition"] == "ours") & (counted["control"] == "set")]
    ours = ours[ours["relation"] == relation]
    sites = raw.site_of(chosen.raw)
    units = [chosen.raw[sites == s] % raw.width - sum(raw.widths[:s]) for s in (0, 1)]
    layers = [chosen.raw[sites == s] // raw.width for s in (0, 1)]
    pairs = [
        set(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(layers, units, strict=True)
    ]
    return {
        "asked": one.n_asked,
        "known": one.n_known,
        "literal": one.n_literal,
        "identification": len(one.identification),
        "negatives": chosen.negatives,
        "held_out": len(one.held_out),
        "answers": len({a for q in one.held_out for a in q.fact.answers}),
        "flips": int((own["drop"] == 1).sum()),
        "malformed": int((own["malformed"] == 1).sum()),
        "drop_within": float(own["drop"].mean()),
        "drop_elsewhere": float(elsewhere.groupby("relation")["drop"].mean().mean()),
        "drop_random": float(random["drop"].mean()),
        "drop_random_largest": float(random.groupby("draw")["drop"].mean().max()),
        "drop_random_elsewhere": float(other_random.groupby("relation")["drop"].mean().mean()),
        "ours_drop": float(ours["drop"].mean()),
        "sites": {s: int((sites == i).sum()) for i, s in enumerate(raw.sites)},
        "both_gate_and_up": len(pairs[0] & pairs[1]),
        "precision_lowest": float(chosen.precision.min()),
        "precision_one": int((chosen.precision == 1).sum()),
    }


def _comparisons(counted: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare, in each condition, the relations' sets with each kind of control."""
    found = []
    for condition, table in counted.groupby("condition", sort=False):
        by = table.groupby(["control", "relation"], sort=False)[list(MEASURES)].mean()
        own = _of(by, "set")
        for control in dict.fromkeys(table["control"]):
            other = own * 0 if control == "set" else _of(by, control)
            found.append(
                {
                    "condition": condition,
                    "control": "nothing" if control == "set" else control,
                    "relations": len(own),
                    "set": own.mean().to_dict(),
                    "other": other.mean().to_dict(),
                    "push_ratio": float((other["push"] / own["push"]).mean()),
                    "difference": {m: interval((own - other)[m].to_numpy()) for m in MEASURES},
                    "scale": float(table[table["control"] == control]["scale"].median()),
                }
            )
    return found


def _of(by: pd.DataFrame, control: str) -> pd.DataFrame:
    """Return a control's row for each relation."""
    return by.loc[[control]].droplevel("control")


def interval(values: Float[np.ndarray, " relation"]) -> dict[str, float]:
    """Return the mean over relations and its 95 % interval, Student's t with n - 1.

    Relations are the sample: one set serves all facts of a relation.
    """
    n = len(values)
    mean = float(values.mean())
    if n < 2:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    half = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / sqrt(n)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _shared(chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    """Return how many raw neurons two relations' sets have in common."""
    counts = {
        f"{a}, {b}": len(np.intersect1d(chosen[a].raw, chosen[b].raw))
        for a, b in combinations(chosen, 2)
    }
    largest = max(counts, key=lambda pair: counts[pair])
    mean = float(np.mean(list(counts.values())))
    return {"mean": mean, "largest": counts[largest], "largest_pair": largest}
