"""Sum up degenerate pairs over all languages: how many stand in for each other, beyond chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.degeneracy import PAIRS, SETS
from neuron_atlas.findings.audits import audited
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding

ITEM = ["language", "fact"]
N_BINS = 40  # of the histogram of interactions
COLUMNS = [
    "fact", "relation", "random", "held_out", "small", "threshold", "interaction",
    "log_odds_interaction", "found", "confirmed", "degenerate", "published", "elsewhere",
    "audited_error",
]  # fmt: skip


def summarise_degenerate(
    folders: Mapping[str, Path],
    *,
    negligible: float,
    negligible_rate: float,
) -> Finding:
    """Sum up degenerate pairs over all languages.

    `rate` is the share of tested pairs that are found on one paraphrase and confirmed on another
    (`degenerate`), `null_rate` the share of matched random pairs by the same rule; `found_rate`
    needs only the first paraphrase, `strict_rate` also needs both neurons to matter to other
    facts. The published rule uses one paraphrase, so its agreement is with what is found there.
    `opposite_rate` is the share of pairs with small drops that interact as strongly in the other
    direction: if it is as large as `found_rate`, the found pairs may be just one tail of how
    neurons interact.

    Args:
        folders: Each language's folder, as the stage `degenerate_neurons` writes it.
        negligible: Interaction, nats, that is too small to matter.
        negligible_rate: Difference of rates that is too small to matter.
    """
    pairs, sets = _read(folders, PAIRS, COLUMNS), _read(folders, SETS)
    pairs = pairs.assign(strict=pairs["degenerate"] & pairs["elsewhere"])
    rates = _rates(pairs)
    summary = {
        **_counts(pairs, sets),
        **_agreement(pairs[~pairs["random"]]),
        **_beyond_saturation(pairs, negligible),
        "normaliser": audited(pairs["audited_error"]),
    }
    verdict = knowledge_verdicts.degenerate_neurons_exist(
        rates, measured=_measured(summary), negligible=negligible_rate
    )
    said = verdict.as_dict()
    excess = {"mean": said["effect"], "low": said["low"], "high": said["high"]}
    summary |= {"p_value": said["p_value"], "excess": excess}
    return Finding(
        "degenerate",
        summary,
        {"degenerate_neurons_exist": verdict},
        {"degenerate": _by_language(pairs, sets), "interactions": interactions(pairs)},
    )


def _read(folders: Mapping[str, Path], name: str, columns: list[str] | None = None) -> pd.DataFrame:
    tables = [
        store.read_table(folder / name, columns).assign(language=language)
        for language, folder in folders.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _rates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return each item's share of degenerate pairs, and its random pairs', with `fact`."""
    groups = pairs.groupby([*ITEM, "random"])["degenerate"]
    shares = groups.mean().unstack("random").rename(columns={False: "rate", True: "null_rate"})
    sizes = groups.size().unstack("random").rename(columns={False: "n", True: "null_n"})
    return shares.join(sizes).dropna().reset_index()


def _counts(pairs: pd.DataFrame, sets: pd.DataFrame) -> dict[str, Any]:
    own, random = pairs[~pairs["random"]], pairs[pairs["random"]]
    found = own[own["found"]]
    held_out = bool((pairs["held_out"] >= 0).any())
    return {
        "n_facts": int(own["fact"].nunique()),
        "n_pairs_tested": len(own),
        "n_null_pairs": len(random),
        "n_degenerate": int(own["degenerate"].sum()),
        "n_strict": int(own["strict"].sum()),
        "rate": _mean(own["degenerate"]),
        "null_rate": _mean(random["degenerate"]),
        "found_rate": _mean(own["found"]),
        "null_found_rate": _mean(random["found"]),
        "opposite_rate": _mean(own["small"] & (own["interaction"] < -own["threshold"])),
        "strict_rate": _mean(own["strict"]),
        "null_strict_rate": _mean(random["strict"]),
        "published_rule_rate": _mean(own["published"]),
        "null_published_rate": _mean(random["published"]),
        **_larger(sets),
        **_optional("confirmed", found["confirmed"] if held_out else found["confirmed"][:0]),
        **_optional("elsewhere", own.loc[own["degenerate"], "elsewhere"]),
    }


def _larger(sets: pd.DataFrame) -> dict[str, int]:
    larger = sets[(sets["size"] > 2) & sets["degenerate"]]
    return {
        "n_larger": int((~larger["random"]).sum()),
        "null_n_larger": int(larger["random"].sum()),
    }


def _agreement(own: pd.DataFrame) -> dict[str, float]:
    """Compare our rule with the published one on the same pairs; undefined measures are absent."""
    found = degeneracy.agreement(
        own["found"].to_numpy(np.bool_), own["published"].to_numpy(np.bool_)
    )
    both = {"agreement": found.kappa, "agreement_jaccard": found.jaccard}
    return {name: value for name, value in both.items() if value is not None}


def _beyond_saturation(pairs: pd.DataFrame, negligible: float) -> dict[str, float]:
    """Return the share of degenerate pairs that also interact in log-odds.

    The others may be just two additive contributions to a logit, seen through the softmax.
    """
    own = pairs[~pairs["random"] & pairs["degenerate"]]
    return _optional("beyond_saturation", own["log_odds_interaction"] > negligible)


def _optional(name: str, values: pd.Series) -> dict[str, float]:
    return {name: _mean(values)} if len(values) else {}


def _mean(values: pd.Series) -> float:
    return float(values.to_numpy(np.float64).mean())


def _measured(summary: Mapping[str, Any]) -> str:
    return (
        f"Of {summary['n_pairs_tested']} pairs of a fact's strongest neurons "
        f"{100 * summary['rate']:.2f} % are degenerate (found on one wording, confirmed on "
        f"another), of matched random pairs {100 * summary['null_rate']:.2f} %; "
        f"{summary['n_strict']} of {summary['n_degenerate']} are of two neurons that each matter "
        f"to other facts. The published rule takes {100 * summary['published_rule_rate']:.2f} %."
    )


def _by_language(pairs: pd.DataFrame, sets: pd.DataFrame) -> pd.DataFrame:
    """Return one row per language; a share of no pairs is NaN."""
    shown = [
        "n_facts", "n_pairs_tested", "n_degenerate", "rate", "null_rate", "published_rule_rate",
        "null_published_rate", "confirmed", "elsewhere",
    ]  # fmt: skip
    rows = []
    for language in pairs["language"].unique():
        own = sets[sets["language"] == language]
        found = _counts(pairs[pairs["language"] == language], own)
        row = {name: found.get(name, np.nan) for name in shown}
        rows.append({"language": language, **row, "larger": found["n_larger"]})
    return pd.DataFrame(rows)


def interactions(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the histogram of the interaction of real and of random pairs.

    Bins, in nats, are equally wide and symmetric about 0, up to the 99.5 % quantile of the
    absolute interaction; the outermost hold all that lies beyond, so each kind's shares sum to 1.
    """
    values = pairs["interaction"].to_numpy(np.float64)
    reach = max(float(np.quantile(np.abs(values), 0.995)), 1e-3)
    edges = np.linspace(-reach, reach, N_BINS + 1)
    tables = []
    for kind, chosen in (("pair", ~pairs["random"]), ("random pair", pairs["random"])):
        counts, _ = np.histogram(np.clip(values[chosen.to_numpy(np.bool_)], -reach, reach), edges)
        centres = (edges[1:] + edges[:-1]) / 2
        shares = counts / max(counts.sum(), 1)
        tables.append(pd.DataFrame({"kind": kind, "interaction": centres, "share": shares}))
    return pd.concat(tables, ignore_index=True)
