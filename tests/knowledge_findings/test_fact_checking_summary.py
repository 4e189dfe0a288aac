"""All detectors on the same test claims; thresholds and weights from validation alone."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from neuron_atlas.degenerate_neurons.claims import CLAIMS, DETECTORS, META
from neuron_atlas.knowledge_findings import detectors
from neuron_atlas.knowledge_findings.fact_checking import (
    ALL,
    COVERED,
    NEED_ONE,
    summarise_fact_checking,
)
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding

N_FACTS, N_RELATIONS = 80, 8
CLAIM = "degenerate_neurons_help_fact_checking"


def claims(seed: int, *, plain: float, degenerate: float) -> pd.DataFrame:
    """One true and three false claims per fact; two scores hold as much information as is said."""
    rng = np.random.default_rng(seed)
    fact = np.repeat(np.arange(N_FACTS), 4)
    label = np.arange(len(fact)) % 4 == 0
    table = pd.DataFrame({"fact": [f"r{i % N_RELATIONS}:{i:02d}" for i in fact], "label": label})
    table = table.assign(relation=table["fact"].str[:2])
    scores = {name: rng.normal(size=len(fact)) for name in DETECTORS}
    scores["claim_probability"] += plain * label - 10
    scores["degenerate"] = scores["degenerate"] * 1e-3 + degenerate * 1e-3 * label
    scores["always_true"] = np.ones(len(fact))
    scores["probe"] = 1 / (1 + np.exp(-(scores["probe"] + 2 * label - 2)))
    split = np.where(fact % 5 < 2, "validation", "test")
    return table.assign(subject=table["fact"].str[3:], split=split, **scores)


def about(without: list[str]) -> dict[str, object]:
    return {"relations_without": without, "probe": {"n_claims": 40, "n_neurons": 6}}


def folders(root: Path, *, plain: float = 1.0, degenerate: float = 1.0) -> dict[str, Path]:
    result = {}
    for i, language in enumerate(("xa", "xb")):
        store.write_table(root / language / CLAIMS, claims(i, plain=plain, degenerate=degenerate))
        store.write_json(root / language / META, about(["q"] * i))
        result[language] = root / language
    return result


def without_detector(where: dict[str, Path], names: list[str]) -> None:
    """Take degenerate neurons away from some relations in all languages."""
    for folder in where.values():
        table = store.read_table(folder / CLAIMS)
        bare = table["relation"].isin(names)
        table = table.assign(degenerate=table["degenerate"].where(~bare, 0.0))
        store.write_table(folder / CLAIMS, table)
        store.write_json(folder / META, about(names))


def summed(where: dict[str, Path]) -> Finding:
    return summarise_fact_checking(where, negligible_auroc=0.01, n_resamples=500, seed=0)


def everything(where: dict[str, Path]) -> pd.DataFrame:
    return pd.concat([store.read_table(f / CLAIMS) for f in where.values()], ignore_index=True)


def test_the_metrics_are_scikit_learn_s_on_the_test_claims(tmp_path: Path) -> None:
    where = folders(tmp_path)
    part, table = summed(where), everything(where)
    test = table[table["split"] == "test"]
    shown = part.tables["detectors"].set_index(["where", "detector"])
    assert shown.loc[COVERED].index.tolist() == list(DETECTORS)
    assert shown.loc[ALL].index.tolist() == [name for name in DETECTORS if name not in NEED_ONE]
    rows = shown.loc[COVERED]
    for name in DETECTORS:
        row = rows.loc[name]
        assert row["auroc"] == pytest.approx(roc_auc_score(test["label"], test[name]))
        for measure in ("auroc", "f1"):
            assert row[f"{measure}_low"] <= row[measure] <= row[f"{measure}_high"]
        assert 0 <= row["ece_low"] <= row["ece_high"] <= 1
        assert row["ece_low"] < row["ece_high"] or name == "always_true"
        expected = average_precision_score(test["label"], test[name])
        assert row["average_precision"] == pytest.approx(expected)
        called = test[name] >= row["threshold"]
        assert row["f1"] == pytest.approx(f1_score(test["label"], called))
        assert part.summary["auroc"][name]["mean"] == row["auroc"]
        assert part.summary["on_covered"]["f1"][name]["mean"] == row["f1"]
    assert (rows["n_claims"] == len(test)).all()
    assert (rows["n_facts"] == test["fact"].nunique()).all()
    assert rows.loc["always_true", "auroc"] == 0.5
    assert part.summary["f1"]["always_true"]["mean"] == pytest.approx(2 * 0.25 / 1.25)


def test_calibrated_scores_have_small_errors_and_probabilities_are_taken_as_they_are(
    tmp_path: Path,
) -> None:
    where = folders(tmp_path, plain=1.0, degenerate=1.5)
    found = summed(where).summary
    assert found["ece"]["degenerate"]["mean"] < 0.1  # its scores are a thousandth as large
    assert found["ece"]["always_true"]["mean"] == pytest.approx(0, abs=1e-6)  # a constant's share
    assert found["ece"]["claim_probability"]["mean"] == pytest.approx(0.25, abs=0.01)  # all near 0
    for folder in where.values():
        table = store.read_table(folder / CLAIMS)
        store.write_table(folder / CLAIMS, table.assign(probe=np.where(table["label"], 0.9, 0.1)))
    assert summed(where).summary["ece"]["probe"]["mean"] == pytest.approx(0.1, abs=1e-9)


def test_the_probe_says_what_there_is_to_be_had(tmp_path: Path) -> None:
    found = summed(folders(tmp_path, plain=0.5)).summary["probe"]
    assert found["n_languages"] == 2
    assert found["n_training_claims"] == 80
    assert found["minus_claim_probability"]["low"] > 0


def test_thresholds_and_weights_never_see_the_test(tmp_path: Path) -> None:
    """With the test's labels turned round, thresholds are the same and the areas mirrored."""
    where = folders(tmp_path)
    before = summed(where)
    for folder in where.values():
        table = store.read_table(folder / CLAIMS)
        turned = table["label"] ^ (table["split"] == "test")
        store.write_table(folder / CLAIMS, table.assign(label=turned))
    after = summed(where)
    assert before.summary["threshold"] == after.summary["threshold"]
    combined = [p.summary["combined"]["mean"] for p in (before, after)]
    assert sum(combined) == pytest.approx(1)
    table = everything(where)
    test, validation = (table[table["split"] == name] for name in ("test", "validation"))
    turned = test.assign(label=~test["label"].astype(bool))
    stated = [detectors.probability("degenerate", one, validation) for one in (test, turned)]
    np.testing.assert_array_equal(*stated)


def test_neurons_that_add_information_are_said_to_help(tmp_path: Path) -> None:
    part = summed(folders(tmp_path, plain=1.0, degenerate=1.5))
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict == "supported"
    assert verdict.effect.low > 0.03
    gain = part.summary["combined"]["mean"] - part.summary["auroc"]["claim_probability"]["mean"]
    assert verdict.effect.mean == pytest.approx(gain, abs=0.03)  # within facts, and pooled
    assert part.summary["degenerate_minus_claim_probability"]["mean"] > 0


def test_neurons_that_add_nothing_are_not(tmp_path: Path) -> None:
    part = summed(folders(tmp_path, plain=2.0, degenerate=0.0))
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict != "supported"
    assert abs(verdict.effect.mean) < 0.02
    assert part.summary["degenerate_minus_claim_probability"]["high"] < 0
    assert "AUROC" in verdict.because


def test_a_score_that_merely_tells_relations_apart_gains_nothing(tmp_path: Path) -> None:
    """Relations with few false claims have a high score: pooled over them it seems to help."""
    where = folders(tmp_path, plain=1.0)
    for folder in where.values():
        table = store.read_table(folder / CLAIMS)
        few = table["relation"].isin(["r0", "r1", "r2", "r3"])
        table = table.assign(degenerate=few.astype(float))
        kept = ~few | (np.arange(len(table)) % 4 < 2)  # one false claim of these, three of others
        store.write_table(folder / CLAIMS, table[kept])
    part = summed(where)
    areas = part.summary["combined"]["mean"], part.summary["auroc"]["claim_probability"]["mean"]
    assert areas[0] > areas[1] + 0.02  # positive control
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict != "supported"
    assert abs(verdict.effect.mean) < 0.02


def test_what_random_neurons_give_too_is_no_help(tmp_path: Path) -> None:
    where = folders(tmp_path, plain=1.0, degenerate=1.5)
    for folder in where.values():
        table = store.read_table(folder / CLAIMS)
        noise = np.random.default_rng(0).normal(size=len(table)) * 1e-4
        store.write_table(folder / CLAIMS, table.assign(random=table["degenerate"] + noise))
    verdict = summed(where).verdicts[CLAIM]
    assert verdict.verdict != "supported"
    assert abs(verdict.effect.mean) < 0.03


def test_few_relations_with_a_detector_are_untestable(tmp_path: Path) -> None:
    where = folders(tmp_path, plain=1.0, degenerate=3.0)
    without_detector(where, [f"r{i}" for i in range(2, N_RELATIONS)])
    verdict = summed(where).verdicts[CLAIM]
    assert verdict.verdict == "untestable"
    assert verdict.reason == "Needs facts of 3 relations, and has them of 2"


def test_where_a_split_has_too_few_facts_the_reason_stands(tmp_path: Path) -> None:
    where = folders(tmp_path)
    for folder in where.values():
        store.write_table(folder / CLAIMS, store.read_table(folder / CLAIMS).assign(split="test"))
    part = summed(where)
    assert part.verdicts[CLAIM].verdict == "untestable"
    assert not part.tables
    assert re.search(
        r"there are 0 and 80; raise degenerate_neurons.claims.n_test", part.summary["reason"]
    )


def test_no_detector_anywhere_is_untestable_and_no_null(tmp_path: Path) -> None:
    where = folders(tmp_path, degenerate=1.5)
    without_detector(where, [f"r{i}" for i in range(N_RELATIONS)])
    part = summed(where)
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict == "untestable"
    assert verdict.reason is not None
    assert verdict.reason.startswith("0 of 16 relations in a language have degenerate neurons")
    assert next(iter(part.summary)) == "covered"
    assert part.summary["covered"] == {"cells": 0, "of": 16, "claims": 0}
    assert set(part.tables["detectors"]["where"]) == {ALL}
    assert not set(NEED_ONE) & set(part.summary["auroc"])
    assert not {"combined", "on_covered"} & set(part.summary)


def test_good_detectors_in_half_of_the_cells_are_found(tmp_path: Path) -> None:
    """Judged on their own claims; the others have no detector, which says nothing about it."""
    where = folders(tmp_path, plain=1.0, degenerate=2.5)
    whole = summed(where).verdicts[CLAIM].effect.mean
    without_detector(where, ["r0", "r2", "r4", "r6"])
    part = summed(where)
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict == "supported"
    assert verdict.effect.mean > 0.6 * whole
    assert part.summary["covered"]["cells"] == 8
    assert part.summary["covered"]["claims"] == pytest.approx(0.5, abs=0.1)
