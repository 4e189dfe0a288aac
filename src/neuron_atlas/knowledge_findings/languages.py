"""Sum up language-independent neurons: the summary's section, its verdict and its tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding, untestable

CLAIM = "language_independent_neurons_exist"


def summarise(folder: Path, *, negligible: float) -> Finding:
    """Sum up the folder of the stage `language_neurons`.

    Args:
        folder: What `build.build` wrote.
        negligible: Neurons, shared by two languages, that are too few to matter.
    """
    summary = store.read_json(folder / "summary.json")
    if "mean_per_fact" not in summary:
        few = untestable(f"Nothing to compare: {summary['reason']}")
        return Finding("language_neurons", summary, {CLAIM: few})
    facts = store.read_table(folder / "facts.parquet")
    verdict = knowledge_verdicts.language_independent_neurons_exist(facts, negligible=negligible)
    verdict = replace(verdict, because=f"{_counted(summary)} {verdict.because}")
    tables = {
        "language_map": _both_ways(store.read_table(folder / "map.parquet")),
        "language_layers": store.read_table(folder / "layers.parquet"),
        "language_counts": store.read_table(folder / "counts.parquet"),
    }
    return Finding("language_neurons", summary, {CLAIM: verdict}, tables)


def _counted(summary: dict[str, Any]) -> str:
    return (
        f"A fact's languages share {summary['mean_per_fact']:.2f} neurons, mismatched facts "
        f"{summary['null_mismatched']:.2f}, matched random neurons {summary['null_random']:.3f}."
    )


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return each pair of languages in both orders."""
    there = pairs.rename(columns={"a": "language", "b": "compared_with"})
    back = pairs.rename(columns={"b": "language", "a": "compared_with"})
    return pd.concat([there, back], ignore_index=True)
