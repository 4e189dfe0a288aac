"""Means and differences of attribution methods are those of their definitions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.knowledge_findings import attribution_methods, knowledge
from neuron_atlas.knowledge_findings.method_measures import MEASURES, RANKED
from neuron_atlas.neurons.knowledge_sets import META, PROMPTS
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.random_effects import over_relations

METHODS = ("amig", "zero_ig", "random")


def measured() -> pd.DataFrame:
    """Four relations of two facts in two languages; amig is better than random in all of them."""
    rng = np.random.default_rng(0)
    rows = [
        {"language": code, "fact": f"{r}:{f}", "method": method}
        | dict.fromkeys(MEASURES, base + 0.05 * rng.normal())
        for r in "abcd"
        for f in "xy"
        for code in ("en", "fr")
        for method, base in zip(METHODS, (0.6, 0.55, 0.0), strict=True)
    ]
    return pd.DataFrame(rows)


def test_means_have_relations_as_random_effects() -> None:
    found = measured()
    rows = attribution_methods.means(found).set_index("method")
    own = found[found["method"] == "amig"]
    relation = own["fact"].str[0].to_numpy(str)
    expected = over_relations(own["cpr"].to_numpy(), own["fact"].to_numpy(str), relation).effect
    assert rows.loc["amig", ["cpr", "cpr_low", "cpr_high"]].tolist() == pytest.approx(
        [expected.mean, expected.low, expected.high]
    )
    assert rows.loc["amig", "error"] == pytest.approx(own["error"].median())


def test_differences_are_paired_and_corrected_over_rivals() -> None:
    rows = attribution_methods.differences(measured()).set_index("rival")
    assert list(rows.index) == ["zero_ig", "random"]
    for measure in RANKED:
        raw, adjusted = rows[f"{measure}_p_value"], rows[f"{measure}_p_holm"]
        assert adjusted["random"] == pytest.approx(2 * raw["random"])
        assert adjusted["zero_ig"] == pytest.approx(raw["zero_ig"])
        assert rows.loc["random", f"{measure}_low"] > 0.4
        assert rows.loc["random", f"{measure}_mde"] > 0


def test_a_measure_of_too_few_relations_is_not_known() -> None:
    found = measured()
    found.loc[found["fact"].str[0] != "a", "cpr"] = np.nan
    rows = attribution_methods.means(found).set_index("method")
    assert rows[["cpr", "cpr_low", "cpr_high"]].isna().all(axis=None)
    assert rows["cmd"].notna().all()
    alone = found[found["method"] != "amig"]
    assert attribution_methods.differences(alone).drop(columns="rival").isna().all(axis=None)


def test_languages_that_miss_the_tolerance_are_named(tmp_path: Path) -> None:
    for code, errors in {"en": [0.001, 0.002], "zh": [0.011, 0.03]}.items():
        about = {"baseline": "zero", "rule": "radau", "target": "candidates", "dtype": "float32"}
        about |= {"steps": 2, "n_facts": 2, "tolerance": 0.01}
        about |= {"completeness": {"median": float(np.median(errors)), "p95": max(errors)}}
        store.write_json(tmp_path / code / META, about)
        store.write_table(tmp_path / code / PROMPTS, pd.DataFrame({"completeness": errors}))
    folders = {code: tmp_path / code for code in ("en", "zh")}
    summary = knowledge.attribution(folders).summary
    assert summary["misses_tolerance"] == ["zh"]
    assert summary["completeness_median"] < summary["tolerance"]  # which hid it
    assert knowledge.attribution({"en": tmp_path / "en"}).summary["misses_tolerance"] == []
