"""The whole editing experiment on planted truth: one neuron that all languages read, and traps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import planted
import planted_scores
import tiny
from editing_plans import HOW, PLAN, RULE
from neuron_atlas.editing import all_edits, experiment
from neuron_atlas.editing.fitted_edits import ArmEdit
from neuron_atlas.editing.inputs import Experiment, Inputs
from neuron_atlas.editing.measured_edits import Questions, measure
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.editing.tables import (
    ARMS,
    FT_L,
    GENERALITY,
    IN_ALL_ARMS,
    INDEPENDENT,
    LOCALITY,
    MONOLINGUAL,
    MONOLINGUAL_NEURONS,
    PORTABILITY,
    RELIABILITY,
    ROME,
)
from neuron_atlas.facts.fact_table import Fact, build
from neuron_atlas.knowledge_findings import editing
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import language_sets
from neuron_atlas.neurons.relation_sets import SETS, SIZE
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from neuron_atlas.verdicts.verdict import Finding

FEW = HOW.model_copy(update={"n_draws": 2})
CLAIM = "cross_lingual_editing"


def inputs(base: Path, languages: tuple[str, ...] = planted.LANGUAGES) -> Inputs:
    def each(name: str, suffix: str = "") -> dict[str, Path]:
        return {code: base / name / f"{code}{suffix}" for code in languages}

    return Inputs(
        each("facts_report", ".json"),
        each("recall", ".parquet"),
        each("attributions"),
        each("relation_neurons"),
        base / "language_specific",
    )


def an_experiment(lm: LanguageModel, how: EditingPlan = FEW) -> Experiment:
    return Experiment(lm, how, RULE, seed=0, tolerance=0.0, key="test")


@pytest.fixture(scope="module")
def base(planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_scores.write(tmp_path_factory.mktemp("editing"), planted_model)


@pytest.fixture(scope="module")
def folder(planted_model: LanguageModel, base: Path) -> Path:
    """Run the whole experiment on the planted model."""
    before = {name: value.clone() for name, value in planted_model.network.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        experiment.run(an_experiment(planted_model), inputs(base), base / "out")
        assert not list((base / ".work").iterdir())
    for name, value in planted_model.network.state_dict().items():
        assert value.equal(before[name])
    return base / "out"


@pytest.fixture(scope="module")
def part(folder: Path) -> Finding:
    return editing.summarise(folder, negligible=0.05, n_resamples=200, seed=0)


def test_the_planted_neuron_transfers_and_the_monolingual_one_does_not(part: Finding) -> None:
    cell = part.tables["editing"].set_index(["operation", "arm", "where"])["mean"]
    assert cell["edit", INDEPENDENT, PORTABILITY] > 3
    assert cell["edit", INDEPENDENT, GENERALITY] > 3
    for arm in (MONOLINGUAL_NEURONS, MONOLINGUAL):
        assert cell["edit", arm, PORTABILITY] == pytest.approx(0, abs=planted.NATS)
        assert cell["edit", arm, GENERALITY] > 3  # in its own language it works
    assert cell["edit", INDEPENDENT, LOCALITY] == pytest.approx(0, abs=planted.NATS)
    assert cell["suppress", INDEPENDENT, PORTABILITY] < -2
    assert cell["suppress", MONOLINGUAL_NEURONS, PORTABILITY] == pytest.approx(0, abs=planted.NATS)
    share = part.tables["edit_success"].set_index(["arm", "where"])["share"]
    assert share[INDEPENDENT, PORTABILITY] == 1
    assert share[MONOLINGUAL, PORTABILITY] == 0
    assert share[INDEPENDENT, LOCALITY] == 1
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict == "supported"
    assert verdict.effect.low > 3
    for name in ("random", "joint", "ft_l", "rome", "monolingual "):
        assert name in verdict.because


def test_a_monolingual_edit_reaches_the_language_s_other_facts(folder: Path) -> None:
    """Its neurons fire on all prompts of their language: locality is measured, and is bad."""
    edits = editing.with_change(store.read_table(folder / "edits.parquet"))
    far = edits[edits["where"] == LOCALITY]
    mean = far.groupby(["arm", "language"])["effect"].agg(lambda x: np.abs(x).mean())
    assert mean[MONOLINGUAL, "xa"] > 100 * max(mean[INDEPENDENT, "xa"], 1e-6)


def test_the_summary_has_what_the_contract_names(part: Finding) -> None:
    for arm in ARMS:
        for where in IN_ALL_ARMS:
            assert set(part.summary[arm]["edit"][where]) == {"mean", "low", "high"}
        operated = arm not in (MONOLINGUAL, FT_L, ROME)  # the same set again, and no set
        assert (RELIABILITY in part.summary[arm]) == operated
    assert part.summary["n_facts"] == 10
    assert part.summary["n_independent"] == 10
    assert part.summary["n_too_few_independent"] == 0
    assert part.summary["n_given"] == 0
    assert set(part.summary["layers"]) == {FT_L, ROME}
    cell = part.tables["editing"].set_index(["operation", "arm", "where"])["mean"]
    both = part.summary[INDEPENDENT][RELIABILITY]["mean"]
    halves = [cell[name, INDEPENDENT, RELIABILITY] for name in ("enhance", "suppress")]
    assert both == pytest.approx((halves[0] - halves[1]) / 2, abs=planted.NATS)
    assert set(part.tables["editing"]["operation"]) == {"suppress", "enhance", "edit"}
    tried = part.tables["edit_layers"]
    assert set(tried["arm"]) == {FT_L, ROME}
    assert tried.groupby("arm")["chosen"].sum().eq(1).all()


def test_every_arm_is_measured_on_the_same_prompts(folder: Path) -> None:
    table = store.read_table(folder / "edits.parquet")
    common = table[table["where"].isin(IN_ALL_ARMS)]
    keys = ["fact", "where", "language", "measured", "template"]
    seen = [frozenset(map(tuple, rows[keys].to_numpy())) for _, rows in common.groupby("arm")]
    assert len(seen) == len(ARMS)
    assert len(set(seen)) == 1
    sizes = store.read_table(folder / "sets.parquet").groupby(["fact", "method", "draw"]).size()
    assert (sizes == 2).all()


def test_a_killed_run_goes_on_and_ends_with_the_same_tables(
    planted_model: LanguageModel, base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base)
    counted: list[str] = []

    def stopping(one: Questions, case: Case, edits: list[ArmEdit]) -> pd.DataFrame:
        counted.append(case.fact)
        if len(counted) == 6:
            raise KeyboardInterrupt
        return measure(one, case, edits)

    monkeypatch.setattr(all_edits, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(an_experiment(planted_model), inputs(base), base / "again")
    assert not (base / "again").exists()
    experiment.run(an_experiment(planted_model), inputs(base), base / "again")
    done = 5 // all_edits.AT_ONCE * all_edits.AT_ONCE  # whole groups, which are not measured again
    assert len(counted) == 6 + 10 - done
    for file in sorted(folder.iterdir()):
        assert (base / "again" / file.name).read_bytes() == file.read_bytes()


def test_new_objects_of_the_source_are_read_from_its_reports(base: Path, tmp_path: Path) -> None:
    given = inputs(base)
    assert given.new_objects() == {}
    reports = {code: tmp_path / f"{code}.json" for code in given.reports}
    for code, path in reports.items():
        store.write_json(path, {"new_objects": {"alpha:s0": "a", f"beta:{code}": "b"}})
    found = replace(given, reports=reports).new_objects()
    assert found == {"alpha:s0": "a", **{f"beta:{code}": "b" for code in reports}}


def test_too_few_languages_are_said_and_not_measured(
    planted_model: LanguageModel, base: Path, tmp_path: Path
) -> None:
    experiment.run(an_experiment(planted_model), inputs(base, ("xa",)), tmp_path / "out")
    found = editing.summarise(tmp_path / "out", negligible=0.05, n_resamples=100, seed=0)
    assert found.verdicts[CLAIM].verdict == "untestable"
    assert not found.tables
    assert found.summary["reason"].startswith("no fact is known in 2 languages and one more")


def a_random_run(lm: LanguageModel, folder: Path) -> Inputs:
    """Write made-up facts of four relations in three languages, all called known, and scores."""
    rng = np.random.default_rng(0)
    slot = " {object}" if lm.architecture.encoder else ""
    for code, word in zip(planted.LANGUAGES, "xyz", strict=True):
        facts = [
            Fact(
                *(relation, f"s{i}", "efgh"[i], (f"o{i % 3}",), ("klm"[i % 3],)),
                *(("o0", "o1", "o2"), tuple("klm"), "identification", "identification"),
            )
            for relation in ("r0", "r1", "r2", "r3")
            for i in range(4)
        ]
        templates = {
            f"r{r}": [f"{p} {letter} {{subject}} {word}{slot}" for p in "pqrs"]
            for r, letter in enumerate("abcd")
        }
        table = answers.with_known(answers.score(lm, build(facts, templates, separator=" ")))
        table = table.assign(known=True, correct=True)
        store.write_table(folder / f"recall/{code}.parquet", table)
        rows = [
            {"fact": f.id, "relation": f.relation, "template": t, "method": "attribution"}
            | {"rank": rank, "neuron": int(neuron), "score": np.float32(1 / (1 + rank))}
            for f in facts[::4] + facts[1::4]
            for t in range(3)
            for rank, neuron in enumerate(rng.permutation(30))
        ]
        scores = folder / f"attributions/{code}"
        store.write_table(scores / "scores.parquet", pd.DataFrame(rows))
        plan = {**PLAN.model_dump(exclude={"max_facts"}), "dtype": "float32"}
        store.write_json(scores / "meta.json", plan)
        store.write_json(folder / f"facts_report/{code}.json", {"new_objects": {"r0:s0": "o1"}})
        size = torch.ones(lm.n_layers, lm.n_neurons)
        empty = pd.DataFrame(columns=["relation", "rank", "neuron"])
        store.write_table(folder / f"relation_neurons/{code}" / SETS, empty)
        save_file({"size": size, "banned": size == 0}, folder / f"relation_neurons/{code}" / SIZE)
    none = store.no_rows({"language": "str", "rank": "int64", "neuron": "int64"})
    store.write_table(folder / "language_specific" / language_sets.SETS, none)
    return inputs(folder)


@pytest.mark.parametrize("family", ["bert", "gemma3_text"])
def test_any_family_is_edited_and_facts_without_scores_are_attributed(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny.random_model(family)
    monkeypatch.chdir(tmp_path)
    how = FEW.model_copy(update={"max_facts": 3})
    one = replace(an_experiment(lm, how), rule=RULE.model_copy(update={"k": 8}))
    experiment.run(one, a_random_run(lm, tmp_path), tmp_path / "out")
    meta = store.read_json(tmp_path / "out" / "meta.json")
    assert meta["n_facts"] == 12  # the scores of four had to be computed
    assert meta["n_given"] == 1
    assert meta["n_independent"] + meta["n_too_few_independent"] == 12
    assert meta["n_development"] == 2
    edits = store.read_table(tmp_path / "out" / "edits.parquet")
    assert (edits[edits["fact"] == "r0:s0"]["new"] == "o1").all()
    assert ("text" in set(edits["where"])) == (not lm.architecture.encoder)
    numbers = edits[["old_before", "old_after", "size", "share"]]
    assert np.isfinite(numbers.to_numpy()).all()
    own = edits[(edits["where"] == RELIABILITY) & (edits["arm"] == MONOLINGUAL_NEURONS)]
    before, after = (own[f"new_{when}"] - own[f"old_{when}"] for when in ("before", "after"))
    assert after.mean() > before.mean()
    found = editing.summarise(tmp_path / "out", negligible=0.05, n_resamples=100, seed=0)
    assert "nan" not in found.verdicts[CLAIM].because
