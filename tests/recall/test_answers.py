"""Recall: ranks by hand, demonstrations that show no evaluated answer, scores like a plain loop."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import toy
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation, encode
from neuron_atlas.recall import answers
from neuron_atlas.wording import demonstrations
from rounding import rounding
from saved import save


def judged(values: list[float], right: list[int]) -> tuple[float, int, int]:
    mask = np.isin(np.arange(len(values)), right)
    found = answers.judge(np.array(values, dtype=float), mask)
    return found.log_probability, found.rank, found.predicted


@pytest.mark.parametrize(
    ("values", "right", "expected"),
    [
        ([-1, -2, -3], [0], (-1, 1, 0)),
        ([-1, -2, -3], [2], (-3, 3, 0)),
        ([-1, -2, -3], [0, 1], (-1, 1, 0)),
        ([-1, -2, -3], [1, 2], (-2, 2, 0)),
        ([-2, -1, -3], [0, 1], (-1, 1, 1)),  # the better of two right answers counts
        ([-1, -1, -3], [2, 0], (-1, 2, 1)),  # a tie counts against the answer
        ([-1, -1, -1, -1], [3], (-1, 4, 0)),
        ([-np.inf, -1], [0], (-np.inf, 2, 1)),
    ],
)
def test_ranks_by_hand(
    values: list[float], right: list[int], expected: tuple[float, int, int]
) -> None:
    assert judged(values, right) == expected


def test_other_right_answers_never_count_against_the_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, right = rng.integers(-5, 0, 8).astype(float), rng.random(8) < 0.4
        right[0] = True
        kept = np.concatenate([[values[right].max()], values[~right]])
        alone = answers.judge(kept, np.arange(len(kept)) == 0)
        assert answers.judge(values, right).rank == alone.rank


def test_what_cannot_be_judged_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candidate is a correct answer"):
        judged([-1, -2], [])
    with pytest.raises(ValueError, match="log-probabilities of 1 candidates are NaN"):
        judged([-1, np.nan], [0])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return toy.every_fact()


@pytest.fixture(scope="module", params=toy.LANGUAGES)
def one_language(request: pytest.FixtureRequest) -> pd.DataFrame:
    return toy.fact_table(request.param)


def shown(row: pd.Series, facts: pd.DataFrame) -> pd.DataFrame:
    """Return the solved facts before a prompt, found by their text."""
    lines = row["prompt"].split("\n")[:-1]
    solved = facts["prompt"] + facts["separator"] + facts["answer"]
    assert set(lines) <= set(solved)
    return facts[solved.isin(lines)]


@pytest.mark.parametrize("shots", [1, 2])
def test_demonstrations_are_of_the_relation_and_template_and_of_other_subjects(
    one_language: pd.DataFrame, shots: int
) -> None:
    asked = demonstrations.with_demonstrations(one_language, shots=shots, seed=0)
    evaluated = {(r.relation, r.subject) for r in asked.itertuples()}
    for _, row in asked.iterrows():
        seen = shown(row, one_language)
        assert len(seen) == shots
        assert set(seen["split"]) == {"development"}
        assert set(zip(seen["relation"], seen["template"], strict=True)) == {
            (row["relation"], row["template"])
        }
        assert not evaluated & set(zip(seen["relation"], seen["subject"], strict=True))


@pytest.mark.parametrize("shots", [0, 2])
def test_the_evaluated_facts_keep_their_prompt_and_subject(
    one_language: pd.DataFrame, shots: int
) -> None:
    asked = demonstrations.with_demonstrations(one_language, shots=shots, seed=0)
    expected = one_language[one_language["split"] != "development"]
    order = ["relation", "template", "split"] if shots else ["relation", "template"]
    expected = expected.sort_values(order, kind="stable", ignore_index=True)
    same = ["fact", "template", "answer", "split"]
    assert asked[same].equals(expected[same])
    for row, bare in zip(asked.itertuples(), expected["prompt"], strict=True):
        assert row.prompt[row.subject_start : row.subject_end] == row.subject_label
        assert row.prompt.endswith(bare)
        assert row.prompt.count("\n") == shots
        assert row.subject_start >= row.prompt.rfind("\n")  # the question's, not an example's


def test_demonstrations_depend_on_the_seed_alone(one_language: pd.DataFrame) -> None:
    prompts = [
        demonstrations.with_demonstrations(one_language, shots=2, seed=seed)["prompt"].tolist()
        for seed in (0, 0, 1)
    ]
    assert prompts[0] == prompts[1]
    assert prompts[0] != prompts[2]


def test_too_few_development_facts_is_an_error(one_language: pd.DataFrame) -> None:
    with pytest.raises(
        ValueError,
        match=r"for 50 demonstrations, but relation '\w+' has only \d+ .*lower recall",
    ):
        demonstrations.with_demonstrations(one_language, shots=50, seed=0)


@torch.no_grad()
def plain(lm: LanguageModel, row: pd.Series) -> list[float]:
    """One whole forward pass per candidate, through the model's own head."""
    before, after = encode(lm, row["prompt"])
    found = []
    for label in row["candidate_labels"]:
        answer = continuation(lm, row["prompt"], row["separator"] + label)
        asked = [lm.mask_id] * len(answer) if lm.architecture.encoder else list(answer)
        first = len(before) - (0 if lm.architecture.encoder else 1)
        logp = lm.network(torch.tensor([[*before, *asked, *after]])).logits[0].log_softmax(-1)
        found.append(sum(float(logp[first + j, t]) for j, t in enumerate(answer)))
    return found


@pytest.mark.parametrize("kind", ["toy_decoder", "toy_encoder"])
def test_scores_are_those_of_a_plain_loop(
    kind: str, table: pd.DataFrame, request: pytest.FixtureRequest
) -> None:
    lm = request.getfixturevalue(kind)
    some = table.iloc[::40].reset_index(drop=True)
    scored = answers.score(lm, some)
    for _, row in scored.iterrows():
        expected = plain(lm, row)
        near = rounding(expected, toy.DEPTH)
        np.testing.assert_allclose(row["log_probabilities"], expected, atol=near)
        right = [i for i, c in enumerate(row["candidates"]) if c in row["objects"]]
        best = max(expected[i] for i in right)
        assert row["log_probability"] == pytest.approx(best, abs=near)
        beaten = [v for i, v in enumerate(expected) if i not in right and v >= best]
        assert row["rank"] == 1 + len(beaten)
        assert row["predicted"] == row["candidates"][int(np.argmax(expected))]
        assert row["correct"] == (row["rank"] == 1)


@pytest.mark.parametrize("kind", ["toy_decoder", "toy_encoder"])
def test_a_trained_model_recalls_and_not_without_the_right_prompts(
    kind: str, table: pd.DataFrame, request: pytest.FixtureRequest
) -> None:
    lm = request.getfixturevalue(kind)
    chance = float(table["candidates"].map(lambda c: 1 / len(c)).mean())
    scored = answers.score(lm, table)
    assert (scored.groupby("relation")["correct"].mean() > 2 * chance).all()
    assert scored["correct"].mean() > 4 * chance
    for name in toy.LANGUAGES:
        assert answers.score(lm, toy.fact_table(name))["correct"].mean() > 3 * chance
    other = table.assign(prompt=table["prompt"].sample(frac=1, random_state=0).tolist())
    astray = answers.score(lm, other)["correct"].mean()  # other prompts, the same answers
    assert astray < scored["correct"].mean() / 2


def test_the_order_of_prompts_does_not_matter(
    toy_decoder: LanguageModel, table: pd.DataFrame
) -> None:
    some = table.head(30)
    forwards = answers.score(toy_decoder, some)
    backwards = answers.score(toy_decoder, some.iloc[::-1])
    np.testing.assert_allclose(
        forwards["log_probability"], backwards["log_probability"].iloc[::-1], atol=1e-4
    )
    assert forwards["rank"].tolist() == backwards["rank"].tolist()[::-1]


@pytest.mark.parametrize("kind", ["toy_decoder", "toy_encoder"])
def test_a_saved_model_scores_the_same(
    kind: str, table: pd.DataFrame, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lm, some = request.getfixturevalue(kind), table.iloc[::50]
    loaded = language_model.load(save(lm, tmp_path), device="cpu")
    found, expected = (answers.score(x, some)["log_probability"] for x in (loaded, lm))
    # Only attention may be another one, whose heads add up 16 numbers, in each of two layers.
    np.testing.assert_allclose(found, expected, atol=rounding(expected, 2 * 16))


def test_known_is_a_strict_majority_of_paraphrases() -> None:
    flags = {"all": [1, 1, 1], "most": [1, 1, 0], "half": [1, 0, 1, 0], "one": [0, 0, 1]}
    scored = pd.DataFrame(
        [(fact, bool(x)) for fact, values in flags.items() for x in values],
        columns=["fact", "correct"],
    )
    known = answers.with_known(scored).groupby("fact")["known"].agg(["min", "max"])
    assert known["min"].equals(known["max"])
    assert known["min"].to_dict() == {"all": True, "most": True, "half": False, "one": False}


def test_a_reference_is_measured_for_n_prompts_and_absent_for_the_others(
    toy_decoder: LanguageModel, table: pd.DataFrame
) -> None:
    scored = answers.score(toy_decoder, table.head(20))
    for n, m in pairwise((0, 5, 20, 99)):
        few, more = (answers.with_reference(scored, toy_decoder, n=x)["reference"] for x in (n, m))
        assert few.notna().sum() == min(n, 20)
        assert more[few.notna()].notna().all()  # a larger n keeps the smaller one's prompts
        measured = more.notna()
        np.testing.assert_allclose(
            more[measured], scored.loc[measured, "log_probability"], atol=1e-4
        )


def test_the_two_halves_see_different_demonstrations(one_language: pd.DataFrame) -> None:
    """A result on both halves is then not due to a demonstration; too few facts are shared.

    Looked at are prompts whose answer no demonstration shows: the others may need another one.
    """
    asked = demonstrations.with_demonstrations(one_language, shots=1, seed=0)
    shown = asked.assign(shown=[p.split("\n")[0] for p in asked["prompt"]])
    solved, told_apart = one_language[one_language["split"] == "development"], 0
    for (relation, template), rows in shown.groupby(["relation", "template"]):
        pool = solved[(solved["relation"] == relation) & (solved["template"] == template)]
        words = set(pool["answer"]) | set(pool["subject_label"])
        free = rows[[words.isdisjoint(labels) for labels in rows["object_labels"]]]
        halves = free.groupby("split")["shown"].unique()
        assert all(len(texts) == 1 for texts in halves)
        if len(halves) == 2:
            told_apart += 1
            assert (halves.iloc[0][0] != halves.iloc[1][0]) == (len(pool) >= 2)
    assert told_apart > 5
