"""Sum up knowledge neurons over all languages: one summary, its verdicts and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.knowledge_findings import (
    attribution_methods,
    degenerate,
    editing,
    fact_checking,
    functional_sharing,
    languages,
    selection,
    specific,
)
from neuron_atlas.knowledge_findings.settings import Conclusions
from neuron_atlas.knowledge_findings.specific_overlap import OtherSets
from neuron_atlas.neurons.knowledge_sets import META, PROMPTS
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding


@dataclass(frozen=True)
class Measured:
    """Where the stages wrote the results to sum up, by language or for all languages together."""

    attributions: Mapping[str, Path]
    attribution_methods: Mapping[str, Path]
    selection: Mapping[str, Path]
    language_neurons: Path
    degenerate_neurons: Mapping[str, Path]
    editing: Path
    language_specific: Path
    relation_neurons: Mapping[str, Path]

    @property
    def other_sets(self) -> OtherSets:
        """The sets with which language-specific neurons may overlap."""
        independent = self.language_neurons / "sets.parquet"
        return OtherSets(self.relation_neurons, self.attributions, independent)


def write_summary(measured: Measured, out: Path, how: Conclusions, *, seed: int) -> None:
    """Write `summary.json` and the parts' tables to the folder `out`."""
    again: dict[str, Any] = {"n_resamples": how.n_resamples, "seed": seed}
    limits, folders = how.negligible, measured.degenerate_neurons
    parts = [
        attribution(measured.attributions),
        attribution_methods.summarise(measured.attribution_methods),
        selection.summarise(measured.selection, negligible=limits.nats, **again),
        languages.summarise(measured.language_neurons, negligible=limits.neurons),
        specific.summarise(
            measured.language_specific, measured.other_sets, negligible=limits.nats_per_token
        ),
        editing.summarise(measured.editing, negligible=limits.nats, **again),
        functional_sharing.summarise(measured.editing, measured.language_neurons),
        degenerate.summarise_degenerate(folders, negligible_rate=limits.rate),
        fact_checking.summarise_fact_checking(folders, negligible_auroc=limits.auroc, **again),
    ]
    with store.whole(out) as folder:
        store.write_json(folder / "summary.json", gathered(parts))
        for part in parts:
            for name, table in part.tables.items():
                store.write_table(folder / f"{name}.parquet", table)


def gathered(parts: Sequence[Finding]) -> dict[str, Any]:
    """Return the parts' sections by name, and all verdicts by claim."""
    verdicts = {claim: v.as_dict() for part in parts for claim, v in part.verdicts.items()}
    return {**{part.name: dict(part.summary) for part in parts}, "verdicts": verdicts}


def attribution(folders: Mapping[str, Path]) -> Finding:
    """Say how facts were attributed, and how complete the attributions of all prompts are.

    `misses_tolerance` names the languages whose own median error is above the tolerance by which
    the evaluations were chosen, on fewer prompts.
    """
    every = {code: store.read_json(folder / META) for code, folder in folders.items()}
    known = {code: one for code, one in every.items() if one["n_facts"]}
    if not known:
        return Finding("attribution", {"n_facts": 0}, {})
    about = list(known.values())
    prompts = [store.read_table(folders[code] / PROMPTS) for code in known]
    error = pd.concat(prompts, ignore_index=True)["completeness"]
    summary = {key: about[0][key] for key in ("baseline", "rule", "target", "dtype")}
    return Finding(
        "attribution",
        {
            **summary,
            "steps": max(one["steps"] for one in about),
            "n_facts": sum(one["n_facts"] for one in about),
            "n_prompts": len(error),
            "n_checked": int(error.notna().sum()),
            "completeness_median": float(error.median()),
            "completeness_p95": float(error.quantile(0.95)),
            "tolerance": about[0]["tolerance"],
            "misses_tolerance": [
                code
                for code, one in known.items()
                if one["completeness"]["median"] > one["tolerance"]
            ],
            "by_language": {
                code: {"n_facts": one["n_facts"], "steps": one["steps"], **one["completeness"]}
                for code, one in known.items()
            },
        },
    )
