"""The editing experiment on planted truth: one neuron that all languages read, and traps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
import planted_scores
from neuron_atlas.editing import experiment, fitted_edits, plan
from neuron_atlas.editing.experiment import Inputs
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.settings import Descent, EditingPlan
from neuron_atlas.editing.tables import ARMS, INDEPENDENT, MONOLINGUAL, SEQUENTIAL
from neuron_atlas.editing.value_edits import ValueEdit, applied
from neuron_atlas.findings import editing
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import log_probability
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import query
from neuron_atlas.verdicts.verdict import Finding
from planted_scores import unit

HOW = Descent(steps=12, rate=0.4, margin=3.0, max_norm=3.0)
PLAN = EditingPlan(n_sources=2, max_facts=2, neurons=2, n_unrelated=2, n_draws=2, descent=HOW)


@pytest.fixture(scope="module")
def folder(planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the whole experiment on the planted model."""
    base = planted_scores.write(tmp_path_factory.mktemp("editing"), planted_model)

    def each(name: str, suffix: str = "") -> dict[str, Path]:
        return store.by_language(base / name, planted.LANGUAGES, suffix=suffix)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        experiment.run(
            planted_model,
            Inputs(each("recall", ".parquet"), each("attributions"), each("relation_neurons")),
            base / "out",
            PLAN,
            seed=0,
            tolerance=0.0,
            key="test",
        )
        assert not list((base / ".work").iterdir())
    return base / "out"


@pytest.fixture(scope="module")
def part(folder: Path) -> Finding:
    return editing.summarise(folder, negligible=0.05, n_resamples=500, seed=0)


def test_the_planted_neuron_transfers_and_the_monolingual_one_does_not(part: Finding) -> None:
    cell = part.tables["editing"].set_index(["operation", "arm", "where"])["mean"]
    assert cell["edit", INDEPENDENT, "other_languages"] > 3
    assert cell["edit", MONOLINGUAL, "other_languages"] == pytest.approx(0, abs=planted.NATS)
    assert cell["edit", INDEPENDENT, "paraphrase"] > 3
    assert cell["edit", MONOLINGUAL, "paraphrase"] > 3  # in its own language it works
    assert cell["edit", INDEPENDENT, "unrelated"] == pytest.approx(0, abs=planted.NATS)
    assert cell["suppress", INDEPENDENT, "other_languages"] < -2
    assert cell["suppress", MONOLINGUAL, "other_languages"] == pytest.approx(0, abs=planted.NATS)
    share = part.tables["edit_success"].set_index(["arm", "where"])["share"]
    assert share[INDEPENDENT, "other_languages"] == 1
    assert share[MONOLINGUAL, "other_languages"] == 0
    verdict = part.verdicts["cross_lingual_editing"]
    assert verdict.verdict == "supported"
    assert verdict.effect.low > 3
    assert "random" in verdict.because
    assert "joint" in verdict.because


def test_a_monolingual_edit_reaches_the_language_s_other_facts(folder: Path) -> None:
    """Its neurons fire on all prompts of their language: locality is measured, and is bad."""
    edits = editing.with_change(store.read_table(folder / "edits.parquet"))
    far = edits[edits["where"] == "unrelated"]
    mean = far.groupby(["arm", "language"])["effect"].agg(lambda x: np.abs(x).mean())
    assert mean[MONOLINGUAL, "xa"] > 100 * max(mean[INDEPENDENT, "xa"], 1e-6)


def test_the_summary_has_what_the_contract_names(part: Finding) -> None:
    for arm in ARMS:
        for where in ("same_language", "other_languages", "unrelated"):
            assert set(part.summary[arm][where]) == {"mean", "low", "high"}
            assert set(part.summary[arm]["edit"][where]) == {"mean", "low", "high"}
    both = part.summary[INDEPENDENT]["same_language"]["mean"]
    cell = part.tables["editing"].set_index(["operation", "arm", "where"])["mean"]
    halves = (
        cell["enhance", INDEPENDENT, "same_language"],
        cell["suppress", INDEPENDENT, "same_language"],
    )
    assert both == pytest.approx((halves[0] - halves[1]) / 2, abs=planted.NATS)
    assert set(part.tables["editing"]["operation"]) == {"suppress", "enhance", "edit"}


def test_every_arm_is_measured_on_the_same_prompts(folder: Path) -> None:
    for name in ("effects", "edits"):
        table = store.read_table(folder / f"{name}.parquet")
        keys = ["fact", "where", "language", "measured", "template"]
        seen = [frozenset(map(tuple, rows[keys].to_numpy())) for _, rows in table.groupby("arm")]
        assert len(seen) == len(ARMS)
        assert len(set(seen)) == 1
        sizes = store.read_table(folder / "sets.parquet").groupby(["fact", "method", "draw"]).size()
        assert (sizes == 2).all()


@pytest.fixture(scope="module")
def given(planted_model: LanguageModel) -> tuple[fitted_edits.EditingSetup, list[Case]]:
    recalled = {name: planted_scores.recalled(planted_model, name) for name in planted.LANGUAGES}
    scores = {name: planted_scores.scores(table, name) for name, table in recalled.items()}
    tables, tokens = plan.read_tables(recalled, scores), CandidateTokens(planted_model)
    cases = plan.cases(tables, tokens, n_sources=2, max_facts=1, seed=0)
    sets = [
        NeuronSet(c.fact, c.relation, arm, unit(*names))
        for c in cases
        for arm, names in {
            INDEPENDENT: (f"fact:{c.fact}", "decoy:0.1"),
            SEQUENTIAL: ("language:xa:1", "language:xb:1"),
        }.items()
    ]
    asked = plan.asked(tables, cases, n_unrelated=2, seed=0)
    return fitted_edits.EditingSetup(planted_model, tables, sets, asked, HOW, tokens), cases


def test_measured_edits_equal_a_plain_question_a_prompt(
    given: tuple[fitted_edits.EditingSetup, list[Case]],
) -> None:
    one, cases = given
    lm = one.lm
    found = fitted_edits.measure_edits(one, cases)
    sets = {c.fact: [s for s in one.sets if s.fact == c.fact] for c in cases}
    edits = fitted_edits.fit_edits(one, cases, sets)
    case = cases[0]
    for own, change in zip(sets[case.fact], edits[case.fact], strict=True):
        mine = found[(found["fact"] == case.fact) & (found["arm"] == own.method)]
        prompts = one.asked[one.asked["fact"] == case.fact]
        for row, values in zip(store.records(prompts), store.records(mine), strict=True):
            old = one.tokens.candidate(row, asked_for(row))
            asked = [query(lm, row["prompt"], [old])]
            before = log_probability.log_probabilities(lm, asked)[0][0, 0]
            with applied(lm, change):
                after = log_probability.log_probabilities(lm, asked)[0][0, 0]
            assert values["old_before"] == pytest.approx(before, abs=planted.NATS)
            assert values["old_after"] == pytest.approx(after, abs=planted.NATS)
            if row["where"] != "unrelated":
                place = row["candidates"].index(case.new)
                new = [query(lm, row["prompt"], [one.tokens.candidate(row, place)])]
                with applied(lm, change):
                    expected = log_probability.log_probabilities(lm, new)[0][0, 0]
                assert values["new_after"] == pytest.approx(expected, abs=planted.NATS)
            else:
                assert values["new_after"] is None or np.isnan(values["new_after"])


def test_facts_edited_together_or_alone_get_the_same_edit(
    given: tuple[fitted_edits.EditingSetup, list[Case]],
) -> None:
    one, cases = given
    together, alone = (
        fitted_edits.measure_edits(one, cases),
        [fitted_edits.measure_edits(one, [case]) for case in cases],
    )
    joined = pd.concat(alone, ignore_index=True)
    names = ["old_after", "new_after", "size"]
    np.testing.assert_allclose(together[names], joined[names], atol=1e-3)


def test_sequential_halves_are_fitted_one_after_the_other(
    given: tuple[fitted_edits.EditingSetup, list[Case]],
) -> None:
    """The second language's neuron is silent in the first: each half does its own work."""
    one, cases = given
    sets = {c.fact: [s for s in one.sets if s.fact == c.fact] for c in cases}
    edits = fitted_edits.fit_edits(one, cases, sets)
    for case in cases:
        found = edits[case.fact][1]
        assert isinstance(found, ValueEdit)
        assert (found.delta.norm(dim=1) > 0.1).all()
        only = ValueEdit(found.neurons[:1], found.delta[:1])
        table = plan.fitted(one.tables, case)
        for row in store.records(table):
            texts = [one.tokens.candidate(row, asked_for(row))]
            texts.append(one.tokens.candidate(row, row["candidates"].index(case.new)))
            asked = [query(one.lm, row["prompt"], texts)]
            with applied(one.lm, only):
                old, new = log_probability.log_probabilities(one.lm, asked)[0][0]
            assert (new > old) == (row["language"] == "xa")
            with applied(one.lm, found):
                old, new = log_probability.log_probabilities(one.lm, asked)[0][0]
            assert new > old


def test_too_few_languages_are_said_and_not_measured(
    planted_model: LanguageModel, tmp_path: Path
) -> None:
    table = planted_scores.recalled(planted_model, "xa")
    store.write_table(tmp_path / "xa.parquet", table)
    scores = planted_scores.scores(table, "xa")
    store.write_table(tmp_path / "xa/scores.parquet", scores)
    one = {"xa": tmp_path / "xa"}
    experiment.run(
        planted_model,
        Inputs({"xa": tmp_path / "xa.parquet"}, one, one),
        tmp_path / "out",
        PLAN.model_copy(update={"max_facts": 1, "n_unrelated": 1}),
        seed=0,
        tolerance=0.0,
        key="test",
    )
    found = editing.summarise(tmp_path / "out", negligible=0.05, n_resamples=100, seed=0)
    assert found.verdicts["cross_lingual_editing"].verdict == "untestable"
    assert not found.tables
    assert found.summary["reason"].startswith("no fact is attributed in 2 languages and one more")
