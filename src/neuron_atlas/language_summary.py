"""Language-independent neurons in figures: the summary's section, its verdict and its tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas import store
from neuron_atlas.paired import gain
from neuron_atlas.parts import Part
from neuron_atlas.stats import clustered_bootstrap
from neuron_atlas.verdicts import ALPHA, Verdict

CLAIM = "language_independent_neurons_exist"


def summarise(folder: Path, *, negligible: float, n_resamples: int, seed: int) -> Part:
    """Sum up the folder of the stage `language_neurons`.

    Args:
        folder: What `language_neurons.build` wrote.
        negligible: Neurons a fact beyond mismatched facts that do not matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.
    """
    summary = store.read_json(folder / "summary.json")
    if "mean_per_fact" not in summary:
        return Part("language_neurons", summary)
    facts = store.read_table(folder / "facts.parquet")
    difference = (facts["count"] - facts["mismatched"]).to_numpy(np.float64)
    effect = clustered_bootstrap(
        difference,
        facts["fact"].to_numpy(),
        rng=np.random.default_rng(seed),
        n_resamples=n_resamples,
    )
    word = gain(effect, summary["p_value"], negligible=negligible)
    verdict = Verdict(word, effect, summary["p_value"], _because(summary))
    tables = {
        "language_map": _both_ways(store.read_table(folder / "map.parquet")),
        "language_layers": store.read_table(folder / "layers.parquet"),
        "language_counts": store.read_table(folder / "counts.parquet"),
    }
    return Part("language_neurons", summary, {CLAIM: verdict}, tables)


def _because(summary: dict[str, Any]) -> str:
    same = summary["p_value_same_relation"]
    about = (
        "more than sets of other facts of the same relation do"
        if same < ALPHA
        else "not more than sets of other facts of the same relation do, so that they are about "
        "the relation rather than the fact"
    )
    return (
        f"A fact's languages share {summary['mean_per_fact']:.2f} neurons, mismatched facts "
        f"{summary['null_mismatched']:.2f}, mismatched facts of one relation "
        f"{summary['null_same_relation']:.2f}, matched random neurons "
        f"{summary['null_random']:.3f}: {about} (p = {same:.2g})."
    )


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return each pair of languages in both orders."""
    there = pairs.rename(columns={"a": "language", "b": "compared_with"})
    back = pairs.rename(columns={"b": "language", "a": "compared_with"})
    return pd.concat([there, back], ignore_index=True)
