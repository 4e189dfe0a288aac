"""The comparison of selections: fair by construction, and right about planted neurons."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
import planted_scores
from neuron_atlas.interventions import neuron_sets, selection, suppress_enhance
from neuron_atlas.interventions.neuron_sets import AMIG, METHODS, RANDOM, NeuronSet
from neuron_atlas.interventions.settings import Selection
from neuron_atlas.knowledge_findings.selection import COLUMNS, summarise
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.verdicts.verdict import Verdict

HOW = Selection(  # of scores that fall evenly over 23 neurons, two reach tau
    tau=0.93, share=0.7, max_neurons=5, n_unrelated=2, n_draws=4
)


@pytest.fixture(scope="module")
def recalled(planted_model: LanguageModel) -> pd.DataFrame:
    return planted_scores.recalled(planted_model, "xa")


@pytest.fixture(scope="module")
def prompts(recalled: pd.DataFrame) -> pd.DataFrame:
    return prompt_choice.attributed_prompts(
        recalled, planted_scores.scores(recalled, "xa"), language="xa"
    )


def sets(recalled: pd.DataFrame, first: tuple[str, ...]) -> list[NeuronSet]:
    stored = planted_scores.scores(recalled, "xa", first=first)
    return neuron_sets.compared(stored, planted_scores.source(), HOW, seed=0)


def test_every_method_has_the_same_facts_and_sizes(recalled: pd.DataFrame) -> None:
    found = neuron_sets.describe(sets(recalled, (AMIG,)))
    counts = found.groupby("method").size()
    assert set(counts.index) == {*METHODS, RANDOM}
    assert counts[RANDOM] == 4 * counts[AMIG]
    assert (found.groupby("fact")["k"].nunique() == 1).all()
    assert found["k"].unique().tolist() == [2]
    assert found.groupby("method")["fact"].agg(lambda f: f.nunique()).nunique() == 1


def test_a_short_list_shortens_every_method(recalled: pd.DataFrame) -> None:
    stored = planted_scores.scores(recalled, "xa")
    fact = stored["fact"].iloc[0]
    few = (stored["fact"] == fact) & (stored["method"] == "zero_ig") & (stored["rank"] >= 1)
    found = neuron_sets.describe(
        neuron_sets.compared(stored[~few], planted_scores.source(), HOW, seed=0)
    )
    assert found.loc[found["fact"] == fact, "k"].unique().tolist() == [1]
    assert found.loc[found["fact"] != fact, "k"].unique().tolist() == [2]


def test_no_neuron_above_tau_still_gives_one(recalled: pd.DataFrame) -> None:
    stored = planted_scores.scores(recalled, "xa")
    flipped = stored["template"] % 2 == 1  # no neuron passes in two paraphrases of three
    stored.loc[flipped, "neuron"] = stored.loc[flipped, "neuron"].to_numpy()[::-1]
    stored = stored[stored["template"] < 2]
    found = neuron_sets.compared(
        stored, planted_scores.source(), HOW.model_copy(update={"share": 1.0}), seed=0
    )
    assert {len(s.neurons) for s in found} == {1}


def test_random_sets_avoid_what_they_control_and_what_is_banned() -> None:
    source = planted_scores.source()
    banned = np.arange(100, 3 * planted.N_NEURONS)
    own = NeuronSet("f", "r", AMIG, np.array([1, 130]))
    matched = partial(neuron_sets.matched, stage="selection", seed=0)
    with pytest.raises(ValueError, match="neurons left"):
        matched(own, type(source)({}, source.size, banned), n_draws=2)
    draws = matched(own, source, n_draws=20)
    drawn = np.stack([d.neurons for d in draws])
    assert not np.isin(drawn, own.neurons).any()
    assert (drawn // planted.N_NEURONS == own.neurons // planted.N_NEURONS).all()
    assert len(np.unique(drawn, axis=0)) > 10


def test_the_measured_paraphrase_rotates_is_right_and_selects_nothing(
    recalled: pd.DataFrame, prompts: pd.DataFrame
) -> None:
    assert prompts["correct"].all()
    assert prompts["template"].nunique() == planted.N_PARAPHRASES - 1
    stored = planted_scores.scores(recalled, "xa")
    rest = prompt_choice.other_paraphrases(stored, prompts)
    both = rest.merge(prompts[["fact", "template"]], on=["fact", "template"])
    assert both.empty
    assert rest.groupby("fact")["template"].nunique().eq(planted.N_PARAPHRASES - 1).all()
    single = stored[stored["template"] == 0]  # one paraphrase alone is kept: there is no other
    assert len(prompt_choice.other_paraphrases(single, prompts.assign(template=0))) == len(single)


def test_wrong_answers_are_not_measured(recalled: pd.DataFrame) -> None:
    table = recalled.copy()
    fact = table["fact"].iloc[0]
    mine = table["fact"] == fact
    table.loc[mine, "correct"] = table.loc[mine, "template"] == 1
    found = prompt_choice.measured_prompts(table, [fact])
    assert found["template"].tolist() == [1]
    table.loc[mine, "correct"] = False
    assert prompt_choice.measured_prompts(table, [fact]).empty


def test_unrelated_facts_share_no_relation_subject_or_answer(prompts: pd.DataFrame) -> None:
    """Facts of the same relation use the same neurons: measured there, nothing is specific."""
    plan = selection.asked(prompts, n_unrelated=3, seed=0)
    info = prompts.set_index("fact")
    far = plan[plan["where"] == "unrelated"]
    assert (far.groupby("fact").size() == 3).all()
    for fact, other in zip(far["fact"], far["measured"], strict=True):
        assert info.at[fact, "relation"] != info.at[other, "relation"]
        assert info.at[fact, "subject"] != info.at[other, "subject"]
        assert set(info.at[fact, "objects"]).isdisjoint(info.at[other, "objects"])
    near = plan[plan["where"] == "related"]
    assert (near["fact"] == near["measured"]).all()


def test_unrelated_facts_that_answer_the_same_are_passed_over(prompts: pd.DataFrame) -> None:
    row, rng = prompts.iloc[0].to_dict(), np.random.default_rng(0)
    far = prompts[(prompts["relation"] != row["relation"]) & (prompts["subject"] != row["subject"])]
    same = prompts.copy()
    same["objects"] = [list(row["objects"]) for _ in range(len(prompts))]
    assert len(prompt_choice.unrelated(prompts, row, n=99, rng=rng)) == len(far)
    with pytest.raises(ValueError, match="another relation"):
        prompt_choice.unrelated(same, row, n=2, rng=rng)


def effects(
    lm: LanguageModel, recalled: pd.DataFrame, prompts: pd.DataFrame, first: tuple[str, ...]
) -> pd.DataFrame:
    return selection.run(
        lm,
        sets(recalled, first),
        prompts,
        HOW,
        seed=0,
        tolerance=0.0,
        key=f"test selection {first}",
    )


def summary(folder: Path, table: pd.DataFrame) -> tuple[Verdict, pd.DataFrame, dict[str, dict]]:
    store.write_table(folder / "xa.parquet", table)
    part = summarise({"xa": folder / "xa.parquet"}, negligible=0.05, n_resamples=500, seed=0)
    return part.verdicts["amig_beats_baselines"], part.tables["selection"], dict(part.summary)


def test_planted_neurons_beat_what_the_baselines_select(
    planted_model: LanguageModel,
    recalled: pd.DataFrame,
    prompts: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    table = effects(planted_model, recalled, prompts, ("attribution",))
    verdict, rows, found = summary(tmp_path, table)
    assert verdict.verdict == "supported"
    assert verdict.effect.low > 1
    cell = rows.set_index(["method", "operation", "where"])
    assert cell.at[(AMIG, "suppress", "related"), "mean"] < -2
    assert cell.at[(AMIG, "both", "specific"), "q_value"] < 0.05
    assert abs(cell.at[(AMIG, "both", "unrelated"), "mean"]) < planted.NATS
    traps = cell.at[("activation", "both", "specific"), "mean"]
    assert abs(traps) < planted.NATS  # they write nothing
    assert np.isnan(cell.at[(AMIG, "both", "specific"), "published_sr"])  # a change over none
    assert found[AMIG]["specific"]["mean"] == cell.at[(AMIG, "both", "specific"), "mean"]
    assert set(found[RANDOM]) == {"related", "unrelated", "specific"}


def by_hand() -> pd.DataFrame:
    """Two facts; amig halves and doubles its own answer, and moves others by a tenth of that."""
    rows = []
    for fact in ("f", "g"):
        for method in (*METHODS, RANDOM):
            share = 1.0 if method == AMIG else 0.5
            for operation, factor in (("suppress", 0.5), ("enhance", 2.0)):
                for where, part in (("related", 1.0), ("unrelated", 0.1)):
                    change = np.log1p((factor - 1) * share * part)
                    for draw in range(3) if method == RANDOM else (-1,):
                        own = ("xa", fact, method, operation, draw, where, fact, change)
                        rows.append((*own, np.nan))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_effects_and_the_published_ratio_by_hand(tmp_path: Path) -> None:
    _, rows, _ = summary(tmp_path, by_hand())
    cell = rows.set_index(["method", "operation", "where"])
    log = np.log([2.0, 0.5, 1.1, 0.95])
    assert cell.at[(AMIG, "enhance", "specific"), "mean"] == pytest.approx(log[0] - log[2])
    assert cell.at[(AMIG, "both", "related"), "mean"] == pytest.approx((log[0] - log[1]) / 2)
    assert cell.at[(AMIG, "both", "unrelated"), "mean"] == pytest.approx((log[2] - log[3]) / 2)
    ratios = rows.dropna(subset="published_sr").set_index("method")["published_sr"]
    assert set(ratios.index) == {*METHODS, RANDOM}
    np.testing.assert_allclose(ratios, (0.5 + 1.0) / (0.05 + 0.1))  # the same for half the effect


def test_a_tie_with_one_baseline_is_no_win(
    planted_model: LanguageModel,
    recalled: pd.DataFrame,
    prompts: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All comparisons must hold: two baselines that find nothing do not outweigh one that does."""
    monkeypatch.chdir(tmp_path)
    table = effects(planted_model, recalled, prompts, ("attribution", "gradient_activation"))
    verdict, _, found = summary(tmp_path, table)
    assert verdict.verdict == "not supported"
    assert verdict.effect.mean == pytest.approx(0, abs=planted.NATS)
    assert found["amig_minus"]["zero_ig"]["p_value"] < 0.05


def test_effects_do_not_depend_on_how_prompts_are_packed(
    planted_model: LanguageModel, recalled: pd.DataFrame, prompts: pd.DataFrame
) -> None:
    chosen = sets(recalled, ("attribution",))
    plan = selection.asked(prompts, n_unrelated=2, seed=0)
    items = prompts.rename(columns={"fact": "measured"})
    both, tokens = (
        suppress_enhance.both_operations(planted_model, chosen),
        CandidateTokens(planted_model),
    )
    whole = suppress_enhance.measure_operations(both, chosen, items, plan, tokens)
    single = [
        suppress_enhance.measure_operations(both, chosen, items.iloc[[i]], plan, tokens)
        for i in range(len(items))
    ]
    joined = pd.concat(single, ignore_index=True)
    np.testing.assert_allclose(whole["effect"], joined["effect"], atol=planted.NATS)
    assert len(whole) == len(chosen) * 2 * 3
