"""Sum up language-independent neurons: the summary's section, its verdict and its tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics.estimates import clustered_bootstrap
from neuron_atlas.verdicts.verdict import Finding, Verdict, Word, gain

CLAIM = "language_independent_neurons_exist"
MEANING: dict[Word, str] = {
    "supported": "they are about the fact, and not about its relation alone",
    "not supported": "they are about the relation rather than the fact",
    "undecided": "nothing shows that they are about more than the relation",
}


def summarise(folder: Path, *, negligible: float, n_resamples: int, seed: int) -> Finding:
    """Sum up the folder of the stage `language_neurons`.

    Args:
        folder: What `build.build` wrote.
        negligible: Excess over mismatched facts, in neurons per fact, that does not matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.
    """
    summary = store.read_json(folder / "summary.json")
    if "mean_per_fact" not in summary:
        return Finding("language_neurons", summary)
    facts = store.read_table(folder / "facts.parquet")
    rng = stream(seed, "knowledge", "language_neurons")
    resampling: dict[str, Any] = {"rng": rng, "n_resamples": n_resamples}
    difference = (facts["count"] - facts["mismatched"]).to_numpy(np.float64)
    effect = clustered_bootstrap(difference, facts["fact"].to_numpy(), **resampling)
    about, words = _about(
        facts, summary["about_fact"], negligible=negligible, resampling=resampling
    )
    word = gain(effect, summary["p_value"], negligible=negligible)
    verdict = Verdict(word, effect, summary["p_value"], f"{_because(summary)}; {words}.")
    tables = {
        "language_map": _both_ways(store.read_table(folder / "map.parquet")),
        "language_layers": store.read_table(folder / "layers.parquet"),
        "language_counts": store.read_table(folder / "counts.parquet"),
    }
    return Finding("language_neurons", summary | {"about_fact": about}, {CLAIM: verdict}, tables)


def _because(summary: dict[str, Any]) -> str:
    return (
        f"A fact's languages share {summary['mean_per_fact']:.2f} neurons, mismatched facts "
        f"{summary['null_mismatched']:.2f}, matched random neurons {summary['null_random']:.3f}"
    )


def _about(
    facts: pd.DataFrame, about: dict[str, Any], *, negligible: float, resampling: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Say whether the neurons that two languages share belong to the fact or to its relation.

    Relations are the clusters, because the facts of one relation are compared with each other.
    """
    rows = facts.dropna(subset=["same_fact", "same_relation"])
    clusters = rows["relation"] if rows["relation"].nunique() > 1 else rows["fact"]
    if rows["fact"].nunique() < 2:
        return about, "no relation has two facts, to tell the fact from the relation"
    excess = (rows["same_fact"] - rows["same_relation"]).to_numpy(np.float64)
    effect = clustered_bootstrap(excess, clusters.to_numpy(), **resampling)
    word = gain(effect, about["p_value"], negligible=negligible)
    figures = (
        f"two languages share {rows['same_fact'].mean():.2f} neurons of a fact and "
        f"{rows['same_relation'].mean():.2f} of two facts of one relation (p = "
        f"{about['p_value']:.2g})"
    )
    return about | {"excess": effect.as_dict(), "verdict": word}, f"{figures}: {MEANING[word]}"


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return each pair of languages in both orders."""
    there = pairs.rename(columns={"a": "language", "b": "compared_with"})
    back = pairs.rename(columns={"b": "language", "a": "compared_with"})
    return pd.concat([there, back], ignore_index=True)
