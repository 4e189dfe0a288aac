"""Put a run's numbers into small JSON files, so that a git diff shows what a change did."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, get_args

import pandas as pd

from neuron_atlas.findings.recall import (
    ALL,
    by_popularity,
    n_aligned,
    recall_by_relation,
    relations,
    with_demonstrations,
)
from neuron_atlas.pipeline.store import records
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.plot_data import SIGNIFICANT
from neuron_atlas.verdicts.verdict import Word

SCHEMA = 1
MODEL = ("source", "sha256", "n_layers", "n_neurons", "n_parameters", "dtype")
STABILITY = (
    "ap_chimera_q99",
    "held_out_ap",
    "held_out_ap_chimera",
    "testing_ap",
    "testing_ap_chimera",
    "split_half_jaccard",
    "split_half_jaccard_chimera",
    "template_jaccard",
    "template_jaccard_chimera",
)
SECTIONS = (
    "interference",
    "contrasts",
    "flips",
    "texts",
    "cumulativity",
    "transfer",
    "selectors",
    "normaliser",
)
COMPARED = ("verdict", "effect", "low", "high", "mde")  # of a claim, between two runs
KNOWLEDGE_SECTIONS = (
    "attribution",
    "attribution_methods",
    "selection",
    "language_neurons",
    "language_specific",
    "functional_sharing",
    "editing",
    "degenerate",
    "fact_checking",
)
ROW_KEYS = {  # table: the columns whose values name a row
    "attribution_methods": ("method",),
    "attribution_methods_minus": ("rival",),
    "selection": ("method", "operation", "where"),
    "language_map": ("language", "compared_with"),
    "language_layers": ("kind", "layer"),
    "language_counts": ("at_least",),
    "functional_sharing": ("source", "language"),
    "specific_languages": ("language",),
    "specific_effects": ("source", "language"),
    "specific_layers": ("language", "layer"),
    "specific_overlap": ("language", "kind"),
    "editing": ("operation", "arm", "where"),
    "edit_success": ("arm", "where"),
    "edit_layers": ("arm", "layer"),
    "degenerate": ("language",),
    "detectors": ("where", "detector"),
}


def metrics(results: Results) -> dict[str, dict[str, Any]]:
    """Return the content of metrics/<name>.json by name, ready to be written.

    `facts/<language>` has a language's counts of facts. `verdicts/<claim>` has what a person
    compares between two runs: the word, the effect and its 95 % interval, in the claim's unit.
    `headline` is what fits a line: how many claims have each word, and how many facts are known.

    Floats have six significant digits; a number that was not measured is absent.
    """
    table = recall_by_relation(results.recall, results.consistency["paraphrase"])
    popular = by_popularity(results.recall, results.popularity)
    content: dict[str, Mapping[str, Any]] = {
        "summary": _summary(results, table),
        "headline": _headline(results, table),
        **{f"facts/{code}": _counts(report) for code, report in results.facts.items()},
        **{f"verdicts/{claim}": _compared(verdict) for claim, verdict in results.verdicts.items()},
        "recall": {
            "by_language": _nested(table),
            "demonstrations": _nested(with_demonstrations(results.recall, results.demonstrated)),
            **({"popularity": popular} if popular else {}),
            "rankc": _by_pair(results.consistency, "rankc"),
            "rankc_error": _by_pair(results.consistency, "rankc_error"),
        },
        "relation_neurons": _relation_neurons(results.relation_neurons),
        "interference": _interference(results),
        "knowledge": {
            name: _by_name(results.tables[name], keys)
            for name, keys in ROW_KEYS.items()
            if name in results.tables and len(results.tables[name])
        },
    }
    return {name: _clean(value) for name, value in content.items()}


def _summary(results: Results, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "model": _model(results.provenance),
        "facts": {
            "source": results.fact_source,
            "languages": list(results.recall),
            "relations": relations(results.recall),
            "n_aligned": n_aligned(results.recall),
            "by_language": {name: _totals(rows[ALL]) for name, rows in _nested(table).items()},
            "left_out": results.languages_left_out or None,
        },
        "relation_neurons": _pooled(results.relation_neurons),
        **_sections(results.effects),
        **{
            name: results.knowledge[name]
            for name in KNOWLEDGE_SECTIONS
            if name in results.knowledge
        },
        "verdicts": {
            claim: {key: value for key, value in verdict.items() if key != "because"}
            for claim, verdict in results.verdicts.items()
        },
    }


def _compared(verdict: Mapping[str, Any]) -> dict[str, Any]:
    return {key: verdict[key] for key in COMPARED if key in verdict}


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fact report without its examples, which are the source's own text."""
    return {
        name: {key: value for key, value in row.items() if key != "example"}
        for name, row in report["relations"].items()
    }


def _sections(effects: Mapping[str, Any]) -> dict[str, Any]:
    return {name: effects[name] for name in SECTIONS if name in effects}


def _model(provenance: Mapping[str, Any]) -> dict[str, Any]:
    model = {key: provenance[key] for key in MODEL}
    return {**model, "architecture": provenance["architecture"]["model_type"]}


def _headline(results: Results, table: pd.DataFrame) -> dict[str, int]:
    """Count the claims by verdict, and the facts that the model knows, over all languages."""
    words = Counter(str(verdict["verdict"]) for verdict in results.verdicts.values())
    counts = {word.replace(" ", "_"): words[word] for word in get_args(Word)}
    return {**counts, "known": int(table.loc[table["relation"] == ALL, "n_known"].sum())}


def _totals(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("n_facts", "n_known", "typed_accuracy", "majority_baseline")}


def _pooled(found: Mapping[str, Any]) -> dict[str, Any]:
    pooled = pd.DataFrame([dict(s) for s in found["sets"] if s["source"] == "pooled"])
    means = pooled.reindex(columns=list(STABILITY)).astype(float).mean()
    chosen = {key: found[key] for key in ("k", "site", "pooling")}
    return {
        **chosen,
        "n_relations": len(pooled),
        "n_chimeras": int(pooled["n_chimeras"].max()),
        "n_held_out_ap_exceeds": int((pooled["held_out_ap_exceeds"] == True).sum()),  # noqa: E712
        **dict(zip(STABILITY, means, strict=True)),
    }


def _relation_neurons(found: Mapping[str, Any]) -> dict[str, Any]:
    by_source: dict[str, dict[str, Any]] = defaultdict(dict)
    for entry in found["sets"]:
        measured = {k: v for k, v in entry.items() if k not in ("source", "relation")}
        by_source[entry["source"]][entry["relation"]] = measured
    return {
        "mean": _pooled(found),
        "sets": by_source,
        "like_chimeras": found["like_chimeras"],
        "siblings": found["siblings"],
        "n_skipped": len(found["skipped"]),
    }


def _interference(results: Results) -> dict[str, Any]:
    cells = results.cells
    by_relation = {name: _one_relation(cells, name) for name in cells["relation"].unique()}
    settings = {key: results.effects[key] for key in ("positions", "value", "n_random")}
    return {**settings, **_sections(results.effects), "by_relation": by_relation}


def _one_relation(cells: pd.DataFrame, relation: str) -> dict[str, Any]:
    """Describe what switching off one relation's neurons does to itself and to the others."""
    own = cells[cells["relation"] == relation]
    within, across = own[own["measured"] == relation], own[own["measured"] != relation]
    improved = across[(across["excess"] > 0) & (across["p_adjusted"] < SIGNIFICANT)]
    keys = ("effect", "random", "excess", "low", "high", "p_adjusted", "push", "accuracy_before")
    return {
        **{f"within_{key}": within[key].mean() for key in (*keys, "accuracy_after")},
        "across_excess": across["excess"].mean(),
        "n_improved_significant": len(improved),
    }


def _nested(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in table.to_dict("records"):
        language, relation = row.pop("language"), row.pop("relation")
        found[language][relation] = row
    return found


def _by_name(table: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    """Return the rows, each under its values of `keys`, one level per key."""
    found: dict[str, Any] = {}
    for row in records(table):
        *outer, last = (str(row.pop(key)) for key in keys)
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = row
    return found


def _by_pair(consistency: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return the mean over relations of each pair of languages."""
    pairs = defaultdict(list)
    for entry in consistency["languages"]:
        pairs[f"{entry['a']}-{entry['b']}"].append(entry[key])
    return {pair: sum(values) / len(values) for pair, values in pairs.items()}


def _clean(value: Any) -> Any:
    """Return JSON values: six significant digits, None and non-finite numbers left out."""
    if isinstance(value, Mapping):
        cleaned = {str(key): _clean(entry) for key, entry in value.items()}
        return {key: entry for key, entry in cleaned.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_clean(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if isfinite(value) else None
