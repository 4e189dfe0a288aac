"""The stage on the planted model: what it writes, that it resumes, and a language without facts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import planted
import planted_scores
import scripts
from attribution_cases import plan
from neuron_atlas.attribution_methods import means, measuring
from neuron_atlas.attribution_methods.methods import METHODS
from neuron_atlas.attribution_methods.settings import MethodComparison
from neuron_atlas.knowledge_findings import attribution_methods
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.pipeline import store
from rounding import rounding
from saved import save

HOW = MethodComparison(max_facts=1, top=5, per_layer=2, mean_prompts=2, input_steps=2, largest=8)
PLAN = plan(target="candidates", max_facts=1)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    found = planted.model()
    found.network.config.eos_token_id = 0
    return found


@pytest.fixture(scope="module")
def recalled(lm: LanguageModel) -> pd.DataFrame:
    return planted_scores.recalled(lm, "xa")


def comparison(
    lm: LanguageModel, recalled: pd.DataFrame, language: str = "xa"
) -> measuring.Comparison:
    return measuring.Comparison(lm, recalled, PLAN, HOW, language, seed=0)


@pytest.fixture(scope="module")
def table(
    lm: LanguageModel, recalled: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        return comparison(lm, recalled).measured(key="attribution_methods xa-0")


def test_one_prompt_of_each_relation_is_measured_by_every_method(table: pd.DataFrame) -> None:
    assert (
        table.dtypes.astype(str).to_dict()
        == pd.DataFrame(columns=list(measuring.COLUMNS))
        .astype(measuring.COLUMNS)
        .dtypes.astype(str)
        .to_dict()
    )
    assert sorted(table["relation"].unique()) == sorted(planted.RELATIONS)
    assert (table.groupby("fact")["template"].nunique() == 1).all()
    for _, part in table.groupby("fact"):
        scores = part[part["quantity"] == "score"].pivot(
            index="item", columns="name", values="value"
        )
        drops = part[part["quantity"] == "drop"].pivot(index="item", columns="name", values="value")
        assert set(scores) == set(METHODS)
        assert set(drops) == {"zero", "mean", "path", "input"}
        assert scores.index.equals(drops.index)
        assert scores.notna().all(axis=None)
        assert (
            (part[part["quantity"] == "kept"].groupby("name")["item"].agg(list))
            .map(lambda sizes: sizes == [1, 2, 4, 8])
            .all()
        )


def test_the_fact_s_unit_costs_most(table: pd.DataFrame) -> None:
    for fact, part in table.groupby("fact"):
        unit = int(planted_scores.unit(f"fact:{fact}")[0])
        zero = part[(part["quantity"] == "drop") & (part["name"] == "zero")].set_index("item")[
            "value"
        ]
        assert zero.idxmax() == unit
        ends = part[part["quantity"] == "target"].set_index("name")["value"]
        kept = part[(part["quantity"] == "kept") & (part["name"] == "amig") & (part["item"] == 8)]
        assert ends["none"] < ends["clean"]
        assert kept["value"].iloc[0] == pytest.approx(ends["clean"], abs=0.1)


def test_finished_facts_are_not_measured_again(
    lm: LanguageModel,
    recalled: pd.DataFrame,
    table: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run, done = measuring.Comparison._of, list[str]()

    def twice(self: measuring.Comparison, prompts: pd.DataFrame) -> pd.DataFrame:
        done.extend(prompts["fact"])
        if len(done) == 3:
            raise KeyboardInterrupt
        return run(self, prompts)

    monkeypatch.setattr(measuring.Comparison, "_of", twice)
    with pytest.raises(KeyboardInterrupt):
        comparison(lm, recalled).measured(key="attribution_methods xa-1")
    again = comparison(lm, recalled).measured(key="attribution_methods xa-1")
    assert len(done) == len(planted.RELATIONS) + 1  # one was broken off
    pd.testing.assert_frame_equal(again, table)


def test_means_are_of_other_relations_right_prompts(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    chosen = means.mean_prompts(recalled, per_relation=2)
    assert chosen["correct"].all()
    assert (chosen.groupby("relation")["fact"].nunique() == 2).all()
    found = means.relation_means(lm, chosen)
    assert sorted(found) == sorted(planted.RELATIONS)
    unit = planted.NEURONS["first:alpha"]
    values = {name: float(mean[unit.layer, unit.index]) for name, mean in found.items()}
    assert values == {name: float(name == "alpha") for name in found}
    others = means.of_others(found, "beta")
    assert float(others[unit.layer, unit.index]) == pytest.approx(1 / 4, abs=rounding(1, 10))
    alone = {"alpha": found["alpha"]}
    assert torch.equal(means.of_others(alone, "alpha"), found["alpha"])


def test_the_summary_tells_methods_from_chance(
    lm: LanguageModel, recalled: pd.DataFrame, table: pd.DataFrame, tmp_path: Path
) -> None:
    measuring.write(table, tmp_path / "xa", comparison(lm, recalled))
    unknown = comparison(lm, recalled.assign(known=False), "xb")
    measuring.write(unknown.measured(key="attribution_methods xb-0"), tmp_path / "xb", unknown)
    assert store.read_table(tmp_path / "xb" / measuring.TABLE).empty
    finding = attribution_methods.summarise({"xa": tmp_path / "xa", "xb": tmp_path / "xb"})
    store.write_json(tmp_path / "summary.json", finding.summary)  # refuses what is not finite
    assert finding.summary["n_facts"] == finding.summary["n_relations"] == len(planted.RELATIONS)
    assert finding.summary["by_language"] == {"xa": 5}
    assert finding.summary["absent"] == {}
    rows = finding.tables["attribution_methods"].set_index("method")
    assert rows.loc["amig", "spearman_own"] > 0.5
    assert rows.loc["amig", "cpr"] > rows.loc["random", "cpr"] + 0.3
    assert rows.loc["amig", "take_away"] > rows.loc["random", "take_away"] + 0.3
    minus = finding.tables["attribution_methods_minus"].set_index("rival")
    assert set(minus.index) == set(METHODS) - {"amig"}
    assert minus.loc["random", "spearman_own_mean"] > 0
    assert (minus["spearman_own_p_holm"] >= minus["spearman_own_p_value"]).all()


def test_nothing_known_anywhere_is_said(
    lm: LanguageModel, recalled: pd.DataFrame, tmp_path: Path
) -> None:
    unknown = comparison(lm, recalled.assign(known=False))
    measuring.write(unknown.measured(key="attribution_methods xa-2"), tmp_path / "xa", unknown)
    finding = attribution_methods.summarise({"xa": tmp_path / "xa"})
    assert finding.summary["reason"] == "needs known facts of 3 relations, and has them of 0"
    assert finding.tables == {}


def test_the_stage_takes_the_evaluations_from_the_attributions(
    lm: LanguageModel, recalled: pd.DataFrame, table: pd.DataFrame, tmp_path: Path
) -> None:
    save(lm, tmp_path / "model")
    store.write_table(tmp_path / "recall.parquet", recalled)
    store.write_json(tmp_path / "attributions" / knowledge_sets.META, {"steps": 3})
    sections = {
        "seed": 0,
        "languages": {"xa": {}},
        "attributions": PLAN.model_dump() | {"steps": None},
        "attribution_methods": HOW.model_dump(),
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    words = ("model", "recall.parquet", "attributions", "out", "--language", "xa")
    done = scripts.run(tmp_path, "attribution_methods", *words)
    assert done.returncode == 0, done.stderr
    about = store.read_json(tmp_path / "out" / measuring.META)
    assert about["steps"] == 3
    assert about["own"]["amig"] == "path"
    found = store.read_table(tmp_path / "out" / measuring.TABLE)
    ends, expected = (one[one["quantity"] == "target"] for one in (found, table))
    assert ends["fact"].tolist() == expected["fact"].tolist()
    np.testing.assert_allclose(ends["value"], expected["value"], rtol=0, atol=planted.NATS)
