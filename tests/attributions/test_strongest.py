"""The facts that are attributed, and the table that is kept of them."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import scripts
import toy
from neuron_atlas.attributions import batches, questions, strongest
from neuron_atlas.attributions.settings import AttributionPlan, Baseline
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.wording import demonstrations
from rounding import rounding
from saved import save

PLAN = AttributionPlan(
    baseline="occlusion",
    rule="radau",
    steps=4,
    tolerance=0.01,
    screen=0.0,
    zero_rule="graded",
    zero_steps=3,
    target="candidates",
    max_facts=None,
    keep=20,
    floor=0.3,
)


@pytest.fixture(scope="module")
def recalled(toy_decoder: LanguageModel) -> pd.DataFrame:
    asked = demonstrations.with_demonstrations(toy.fact_table("en"), shots=1, seed=0)
    return answers.with_known(answers.score(toy_decoder, asked))


@pytest.fixture(scope="module")
def table(toy_decoder: LanguageModel, recalled: pd.DataFrame) -> pd.DataFrame:
    rows = prompt_choice.first_known(recalled, max_facts=2)
    return strongest.attribute(toy_decoder, rows, PLAN, None)


def test_the_first_known_facts_of_each_relation_are_chosen(recalled: pd.DataFrame) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=2)
    assert rows["known"].all()
    assert rows.groupby("relation")["fact"].nunique().max() == 2
    assert (rows.groupby("fact").size() == toy.N_TEMPLATES - 1).all()  # the last one tests
    every = prompt_choice.first_known(recalled, max_facts=None)
    assert set(every["fact"]) == set(recalled.loc[recalled["known"], "fact"])
    assert set(rows["fact"]) <= set(every["fact"])


def test_the_order_does_not_depend_on_what_else_is_known(recalled: pd.DataFrame) -> None:
    """So that two languages with different knowledge choose the same facts where they can."""
    all_known = prompt_choice.first_known(recalled.assign(known=True), max_facts=None)
    order = {f: i for i, f in enumerate(all_known["fact"].unique())}
    some = prompt_choice.first_known(recalled, max_facts=None)["fact"].unique()
    assert [order[f] for f in some] == sorted(order[f] for f in some)


def test_nothing_known_is_a_table_without_rows_of_the_same_types(
    toy_decoder: LanguageModel, recalled: pd.DataFrame, table: pd.DataFrame, tmp_path: Path
) -> None:
    none = prompt_choice.first_known(recalled.assign(known=False), max_facts=2)
    assert none.empty
    nothing = strongest.nothing()
    assert nothing.dtypes.to_dict() == table[nothing.columns].dtypes.to_dict()
    assert set(nothing) == set(table)
    out = tmp_path / "scores"
    strongest.write(nothing, out, plan=PLAN, found=None, lm=toy_decoder)
    assert knowledge_sets.read_scores(out).empty
    assert store.read_json(out / knowledge_sets.META)["n_facts"] == 0


def test_the_query_leaves_demonstrations_out(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    row = store.records(recalled)[0]
    assert "\n" in row["prompt"]
    found = questions.question_of(CandidateTokens(toy_decoder), row)
    query = found.prompt[slice(*found.query)]
    assert "\n" not in query
    assert row["prompt"].endswith(query)
    assert row["prompt"][row["subject_start"] : row["subject_end"]] in query


def test_each_prompt_keeps_its_strongest_neurons_of_every_method(table: pd.DataFrame) -> None:
    assert set(table["method"]) == {"attribution", "zero_ig", "gradient_activation", "activation"}
    for _, part in table.groupby(["fact", "template", "method"]):
        assert len(part) >= PLAN.keep
        assert part["rank"].tolist() == list(range(len(part)))
        assert (np.diff(part["score"]) <= 0).all()
        assert part["neuron"].is_unique
    assert (table.loc[table["method"] == "activation", "score"] >= 0).all()
    main = table[table["method"] == "attribution"].drop_duplicates(["fact", "template"])
    assert main["completeness"].median() < 0.05
    assert (main["completeness"].notna().groupby(main["fact"]).sum() == 1).all()


def test_the_fewest_steps_within_the_tolerance_are_taken(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=2)
    steps = []
    for tolerance in (1e-2, 1e-3, 1e-5):
        plan = PLAN.model_copy(update={"steps": None, "tolerance": tolerance})
        found = strongest.fewest_steps(toy_decoder, rows, plan, None)
        assert found.found == 1  # nothing is screened
        steps.append(found.steps)
        chosen = plan.model_copy(update={"steps": found.steps})
        checked = strongest.attribute(toy_decoder, rows[rows["checked"]], chosen, None)
        own = checked[checked["method"] == "attribution"].drop_duplicates("fact")
        assert own["completeness"].median() < 3 * tolerance  # of all prompts, not the few measured
    assert steps[0] < steps[1] < steps[2]


def test_a_screen_leaves_the_strongest_and_says_how_many(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=2)
    shares = []
    for screen in (0.0, 0.002, 0.3):
        plan = PLAN.model_copy(update={"steps": None, "tolerance": 0.14, "screen": screen})
        shares.append(strongest.fewest_steps(toy_decoder, rows, plan, None).found)
    assert shares[0] == 1
    assert shares[1] > 0.98
    assert shares[2] < 0.98  # positive control: so much is left out that it shows
    plan = PLAN.model_copy(update={"steps": None, "tolerance": 0.01, "screen": 0.3})
    with pytest.raises(ValueError, match=r"lower attributions.screen"):  # and is not put up with
        strongest.fewest_steps(toy_decoder, rows, plan, None)


def test_evaluations_are_settled_in_float32_whatever_the_model_s_precision(
    toy_decoder: LanguageModel, recalled: pd.DataFrame, tmp_path: Path
) -> None:
    network = copy.deepcopy(toy_decoder.network).to(torch.bfloat16)  # type: ignore[arg-type]
    coarse = replace(toy_decoder, network=network)
    save(coarse, tmp_path / "model")
    store.write_table(tmp_path / "recall/en.parquet", recalled)
    params = yaml.safe_load((scripts.ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["attributions"] |= {"steps": None, "tolerance": 1e-3, "max_facts": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    done = scripts.run(tmp_path, "attributions", "model", "recall/en.parquet", "attributions/en")
    assert done.returncode == 0, done.stderr
    about = store.read_json(tmp_path / "attributions/en" / knowledge_sets.META)
    assert about["dtype"] == "bfloat16"
    assert about["completeness"]["median"] > 1e-3  # what rounding costs is told
    plan = PLAN.model_copy(update={"steps": None, "tolerance": 1e-3})
    with pytest.raises(ValueError, match="at best"):  # and more evaluations would not mend it
        strongest.fewest_steps(coarse, prompt_choice.first_known(recalled, max_facts=1), plan, None)


def test_a_tolerance_out_of_reach_is_an_error(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=1)
    plan = PLAN.model_copy(update={"rule": "midpoint", "steps": None, "tolerance": 1e-7})
    with pytest.raises(ValueError, match=r"attributions.tolerance is 1e-07, but .* fix attributio"):
        strongest.fewest_steps(toy_decoder, rows, plan, None)


def test_scores_do_not_depend_on_which_prompts_are_checked(
    toy_decoder: LanguageModel, recalled: pd.DataFrame, table: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=2).assign(checked=True)
    every = strongest.attribute(toy_decoder, rows, PLAN, None)
    keys = ["fact", "template", "method", "neuron"]
    both = table.merge(every, on=keys, suffixes=("", "_2"))
    assert len(both) > 0.99 * len(table)
    np.testing.assert_allclose(both["score"], both["score_2"], atol=1e-5 * every["score"].max())


def asked(lm: LanguageModel, rows: pd.DataFrame) -> list[questions.Question]:
    return [questions.question_of(CandidateTokens(lm), row) for row in store.records(rows)]


@pytest.mark.parametrize("baseline", ["occlusion", "zero"])
def test_each_group_of_prompts_is_one_full_batch_of_the_engine(
    toy_decoder: LanguageModel, recalled: pd.DataFrame, baseline: Baseline
) -> None:
    rows = prompt_choice.first_known(recalled.assign(known=True), max_facts=None)
    plan = PLAN.model_copy(update={"baseline": baseline})
    ordered, sizes = strongest.in_batches(toy_decoder, rows, plan)
    pd.testing.assert_frame_equal(ordered.sort_index(), rows.sort_index())
    by_words, whole, lengths = baseline == "occlusion", 0, []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        group = ordered.iloc[end - size : end]
        assert group["checked"].nunique() == 1
        (batch,) = batches.batches(toy_decoder, asked(toy_decoder, group), by_words=by_words)
        assert batch.places == tuple(range(size))
        lengths.append(batch.size)
    for _, some in rows.groupby("checked"):
        whole += len(
            list(batches.batches(toy_decoder, asked(toy_decoder, some), by_words=by_words))
        )
    assert len(sizes) == whole < len(rows) / 2
    assert lengths == sorted(lengths, reverse=True)


def test_a_batch_alone_gives_the_bytes_that_it_gives_among_others(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    """So that it does not matter where a run was killed."""
    rows = prompt_choice.first_known(recalled, max_facts=2)
    ordered, sizes = strongest.in_batches(toy_decoder, rows, PLAN)
    ends = np.cumsum(sizes).tolist()
    alone = [
        strongest.attribute(toy_decoder, ordered.iloc[end - size : end], PLAN, None)
        for end, size in zip(ends, sizes, strict=True)
    ]
    keys = ["fact", "template", "method", "rank"]
    among = strongest.attribute(toy_decoder, rows, PLAN, None).sort_values(keys, ignore_index=True)
    found = pd.concat(alone).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found, among, check_exact=True)
    assert len(sizes) > 2


def test_everything_above_the_floor_is_kept(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=1)
    plan = PLAN.model_copy(
        update={
            "baseline": "zero",
            "rule": "graded",
            "steps": 3,
            "target": "log_probability",
            "keep": 1,
        }
    )
    some = strongest.attribute(toy_decoder, rows, plan, None)
    active = some[some["method"] == "activation"]
    for _, part in active.groupby(["fact", "template"]):
        relative = part["score"] / part["score"].max()
        assert (relative > 0.3).sum() == len(part)
    assert (active.groupby(["fact", "template"]).size() > 1).mean() > 0.5  # positive control


@pytest.mark.parametrize("keep", [1, 7, 500])
def test_what_is_kept_is_the_head_of_all_scores_in_order(keep: int) -> None:
    """Equal scores stay in the order of the neurons, at the edge of what is kept too."""
    scores = torch.from_numpy(np.random.default_rng(0).integers(-9, 9, 300).astype(np.float32))
    kept = strongest.strongest_neurons(scores, keep=keep, floor=0.8)
    order = scores.argsort(descending=True, stable=True).tolist()
    assert kept["neuron"].tolist() == order[: len(kept)]
    assert len(kept) == min(300, max(keep, int((scores > 0.8 * 8).sum())))


def test_the_folder_is_complete_and_readable(
    tmp_path: Path, toy_decoder: LanguageModel, table: pd.DataFrame
) -> None:
    strongest.write(table, tmp_path / "en", plan=PLAN, found=None, lm=toy_decoder)
    other = table.sample(frac=1, random_state=0)  # whatever the order of the work
    strongest.write(other, tmp_path / "other", plan=PLAN, found=None, lm=toy_decoder)
    for file in (tmp_path / "en").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()
    scores = knowledge_sets.read_scores(tmp_path / "en")
    assert list(scores.columns) == knowledge_sets.COLUMNS
    prompts = store.read_table(tmp_path / "en" / "prompts.parquet")
    assert not prompts.duplicated(["fact", "template"]).any()
    meta = store.read_json(tmp_path / "en" / "meta.json")
    assert meta["n_facts"] == prompts["fact"].nunique()
    assert meta["completeness"]["median"] == pytest.approx(prompts["completeness"].median())
    found = knowledge_sets.select(scores, method="attribution", tau=0.3, share=0.7)
    assert set(found) == set(prompts["fact"])


def test_the_mean_baseline_is_the_mean_over_prompts(
    toy_decoder: LanguageModel, recalled: pd.DataFrame
) -> None:
    rows = prompt_choice.first_known(recalled, max_facts=1)
    mean = strongest.baseline_mean(toy_decoder, rows, "mean")
    assert mean is not None
    assert mean.shape == (toy_decoder.n_layers, toy_decoder.n_neurons)
    assert strongest.baseline_mean(toy_decoder, rows, "zero") is None
    halves = [strongest.baseline_mean(toy_decoder, r, "mean") for r in (rows[::2], rows[1::2])]
    n, (a, b) = len(rows), halves
    assert a is not None
    assert b is not None
    pooled = (a * len(rows[::2]) + b * len(rows[1::2])) / n
    np.testing.assert_allclose(mean.numpy(), pooled.numpy(), atol=rounding(mean, toy.DEPTH))
