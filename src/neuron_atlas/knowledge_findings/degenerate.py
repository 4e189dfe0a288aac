"""Sum up degenerate pairs over all languages: how many stand in for each other, beyond chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, PAIRS, RANDOM, SETS
from neuron_atlas.findings.audits import audited
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding

ITEM = ["language", "fact"]
PAIR = [*ITEM, "own_a", "own_b"]  # a fact's pair, or that which a control is matched to
N_BINS = 40  # of the histogram of interactions
KINDS = {OWN: "pair", MATCHED: "control", RANDOM: "random pair"}
COLUMNS = [
    "fact", "kind", "own_a", "own_b", "held_out", "small", "log_odds_interaction", "found",
    "opposed", "confirmed", "testable", "degenerate", "opposite", "published", "elsewhere",
    "mismatch", "audited_error",
]  # fmt: skip


def summarise_degenerate(folders: Mapping[str, Path], *, negligible_rate: float) -> Finding:
    """Sum up degenerate pairs over all languages.

    A pair is degenerate if its surplus in log-odds exceeds the threshold on one paraphrase, on
    another, and in another context, and opposite if it is below minus the threshold in all three.
    A rate is the share of the former less that of the latter, which is 0 where neurons interact by
    chance. `rate` and `null_rate` are those of a fact's pairs and of their matched controls, over
    the pairs that are compared: those that have a control and could be confirmed in both places. A
    pair with a neuron that costs more than `small` alone cannot be degenerate and is not measured.
    `weak_null_rate` is that of random pairs, whose neurons mostly do nothing.

    Args:
        folders: Each language's folder, as the stage `degenerate_neurons` writes it.
        negligible_rate: Difference of rates that is too small to matter.
    """
    pairs, sets = _read(folders, PAIRS, COLUMNS), _read(folders, SETS)
    rates = compared(pairs)
    summary = {
        **_counts(pairs, sets, rates),
        **_agreement(pairs[pairs["kind"] == OWN]),
        "normaliser": audited(pairs["audited_error"]),
    }
    verdict = knowledge_verdicts.degenerate_neurons_exist(
        rates, measured=_measured(summary), negligible=negligible_rate
    )
    said = verdict.as_dict()
    excess = {"mean": said["effect"], "low": said["low"], "high": said["high"]}
    known = {name: value for name, value in excess.items() if value is not None}
    summary |= {"p_value": said["p_value"], "excess": known} if known else {}
    return Finding(
        "degenerate",
        summary,
        {"degenerate_neurons_exist": verdict},
        {
            "degenerate": _by_language(pairs, sets, rates),
            "interactions": interactions(pairs) if len(pairs) else pd.DataFrame(),
        },
    )


def _read(folders: Mapping[str, Path], name: str, columns: list[str] | None = None) -> pd.DataFrame:
    tables = [
        store.read_table(folder / name, columns).assign(language=language)
        for language, folder in folders.items()
    ]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled or tables[:1], ignore_index=True)


def compared(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what is compared on each item: a fact's pairs and the controls that match them.

    Returns:
        One row per item with `language`, `fact`, `n` (pairs, each with its control), `up`, `down`,
        `null_up` and `null_down` (how many are degenerate, and opposite) and `mismatch` (mean
        absolute difference of a control's drops from its pair's, nats).
    """
    usable = pairs[pairs["testable"] & pairs["small"]]
    own, control = (usable[usable["kind"] == kind] for kind in (OWN, MATCHED))
    counted = ["degenerate", "opposite"]
    both = own[[*PAIR, *counted]].merge(
        control[[*PAIR, *counted, "mismatch"]], on=PAIR, suffixes=("", "_null")
    )
    return both.groupby(ITEM, as_index=False).agg(
        n=("degenerate", "size"),
        up=("degenerate", "sum"),
        down=("opposite", "sum"),
        null_up=("degenerate_null", "sum"),
        null_down=("opposite_null", "sum"),
        mismatch=("mismatch", "mean"),
    )


def _counts(pairs: pd.DataFrame, sets: pd.DataFrame, rates: pd.DataFrame) -> dict[str, Any]:
    own, control, random = (pairs[pairs["kind"] == kind] for kind in (OWN, MATCHED, RANDOM))
    found = own[own["found"]]
    held_out = bool((pairs["held_out"] >= 0).any())
    weak = random[random["testable"] & random["small"]]
    return {
        "n_facts": int(own["fact"].nunique()),
        "n_pairs_tested": len(own),
        "n_null_pairs": len(control),
        "n_weak_null_pairs": len(random),
        **_compared_counts(rates),
        **_optional("weak_null_rate", _net(weak["degenerate"], weak["opposite"])),
        "n_degenerate": int(own["degenerate"].sum()),
        "n_opposite": int(own["opposite"].sum()),
        "n_elsewhere": int((own["degenerate"] & own["elsewhere"]).sum()),
        **_shares("", own),
        **_shares("null_", control),
        **_larger(sets),
        **_optional("mismatch", control["mismatch"].dropna()),
        **_optional("confirmed", found["confirmed"] if held_out else found["confirmed"][:0]),
        **_optional("elsewhere", own.loc[own["degenerate"], "elsewhere"]),
    }


def _compared_counts(rates: pd.DataFrame) -> dict[str, Any]:
    """Return the rates over all compared pairs, and how far their controls miss their drops."""
    n = int(rates["n"].sum())
    if not n:
        return {"n_compared": 0}
    total = {name: int(rates[name].sum()) for name in ("up", "down", "null_up", "null_down")}
    return {
        "n_compared": n,
        "rate": (total["up"] - total["down"]) / n,
        "null_rate": (total["null_up"] - total["null_down"]) / n,
        "share_degenerate": total["up"] / n,
        "null_share_degenerate": total["null_up"] / n,
        "mismatch_compared": float(np.average(rates["mismatch"], weights=rates["n"])),
    }


def _shares(name: str, pairs: pd.DataFrame) -> dict[str, float]:
    """Return the shares of all pairs that pass on one paraphrase alone."""
    return {
        **_optional(f"{name}found_rate", pairs["found"]),
        **_optional(f"{name}opposite_rate", pairs["opposed"]),
        **_optional(f"{name}published_rate" if name else "published_rule_rate", pairs["published"]),
    }


def _larger(sets: pd.DataFrame) -> dict[str, int]:
    """Count the larger sets, less the opposite ones, by the rule of pairs."""
    larger = sets[sets["size"] > 2]
    net = _net(larger["degenerate"], larger["opposite"])
    own, control = (larger["kind"] == kind for kind in (OWN, MATCHED))
    return {"n_larger": int(net[own].sum()), "null_n_larger": int(net[control].sum())}


def _net(up: pd.Series, down: pd.Series) -> pd.Series:
    return up.astype(int) - down.astype(int)


def _agreement(own: pd.DataFrame) -> dict[str, float]:
    """Compare our rule with the published one on the same pairs; undefined measures are absent."""
    found = degeneracy.agreement(
        own["found"].to_numpy(np.bool_), own["published"].to_numpy(np.bool_)
    )
    both = {"agreement": found.kappa, "agreement_jaccard": found.jaccard}
    return {name: value for name, value in both.items() if value is not None}


def _optional(name: str, values: pd.Series) -> dict[str, float]:
    return {name: _mean(values)} if len(values) else {}


def _mean(values: pd.Series) -> float:
    return float(values.to_numpy(np.float64).mean())


def _measured(summary: Mapping[str, Any]) -> str:
    if not summary["n_compared"]:
        return "No pair of a fact's strongest neurons could be compared with a control."
    names = ("rate", "null_rate", "published_rule_rate")
    own, null, published = (f"{100 * summary[name]:.2f} %" for name in names)
    return (
        f"{summary['n_compared']} pairs of a fact's strongest neurons, and as many of neurons that "
        "are strong for other facts, of the same layers and with single drops within "
        f"{summary['mismatch_compared']:.3f} nats. {own} of the pairs and {null} of the controls "
        f"stand in for each other on two wordings and in another context, less those that interact "
        f"as strongly the other way; {summary['n_elsewhere']} of {summary['n_degenerate']} "
        "degenerate pairs are of two neurons that each matter to other facts. The published rule "
        f"takes {published}."
    )


def _by_language(pairs: pd.DataFrame, sets: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per language; a share of no pairs is NaN."""
    shown = [
        "n_facts", "n_pairs_tested", "n_compared", "n_degenerate", "n_opposite", "rate",
        "null_rate", "weak_null_rate", "mismatch", "published_rule_rate", "null_published_rate",
        "confirmed", "elsewhere",
    ]  # fmt: skip
    rows = []
    for language in pairs["language"].unique():
        own = (table[table["language"] == language] for table in (pairs, sets, rates))
        found = _counts(*own)
        row = {name: found.get(name, np.nan) for name in shown}
        larger = {"larger": found["n_larger"], "null_larger": found["null_n_larger"]}
        rows.append({"language": language, **row, **larger})
    return pd.DataFrame(rows, columns=["language", *shown, "larger", "null_larger"])


def interactions(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the histogram of the interaction, in log-odds, of a fact's pairs and of controls.

    Bins, in nats, are equally wide and symmetric about 0, up to the 99.5 % quantile of the
    absolute interaction; the outermost hold all that lies beyond, so each kind's shares sum to 1.
    """
    values = pairs["log_odds_interaction"].to_numpy(np.float64)
    reach = max(float(np.quantile(np.abs(values), 0.995)), 1e-3)
    edges = np.linspace(-reach, reach, N_BINS + 1)
    tables = []
    for kind, name in KINDS.items():
        chosen = (pairs["kind"] == kind).to_numpy(np.bool_)
        counts, _ = np.histogram(np.clip(values[chosen], -reach, reach), edges)
        centres = (edges[1:] + edges[:-1]) / 2
        shares = counts / max(counts.sum(), 1)
        tables.append(pd.DataFrame({"kind": name, "interaction": centres, "share": shares}))
    return pd.concat(tables, ignore_index=True)
