"""Detectors: whose neurons they use, and that all of them see the same claims."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from test_search import PLAN, SETTINGS

import planted_pairs
from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.quadrature import gauss_legendre
from neuron_atlas.attributions.questions import Question
from neuron_atlas.degenerate_neurons import claims, fact_checking
from neuron_atlas.degenerate_neurons.claims import DETECTORS, NEURONS, PROBE, Splits
from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, RANDOM
from neuron_atlas.degenerate_neurons.settings import Checking
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.scoring.candidates import CandidateTokens
from planted_pairs import N_NEURONS, UNIT

HOW = Checking(
    share=0.7,
    tau=0.2,
    refine=0.7,
    n_draws=3,
    rule="gauss_legendre",
    nodes=2,
    target="candidates",
)
TRAINED = ["rel:both", "rel:only_a"]


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return planted_pairs.model()


@pytest.fixture(scope="module")
def recalled(lm: LanguageModel) -> pd.DataFrame:
    return planted_pairs.recalled(lm)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the parts of unfinished work out of the repository."""
    monkeypatch.chdir(tmp_path)


def scores(facts: list[str], neurons: list[int]) -> pd.DataFrame:
    """Stored attributions: the given neurons, equally strong, for each fact in one template."""
    rows = [
        (f, "rel", 0, fact_checking.METHOD, i, n, 1.0) for f in facts for i, n in enumerate(neurons)
    ]
    columns = ["fact", "relation", "template", "method", "rank", "neuron", "score"]
    return pd.DataFrame(rows, columns=columns)


def found(*sets: tuple[str, tuple[int, ...]], kind: str = OWN) -> pd.DataFrame:
    table = pd.DataFrame(sets, columns=["fact", "members"])
    return table.assign(degenerate=True, kind=kind)


def all_tested(recalled: pd.DataFrame, **changes: int) -> pd.DataFrame:
    """Make claims with every candidate about every fact, as if all subjects tested."""
    answers = {("rel", name): "test" for name in "0123"}
    splits = Splits(dict.fromkeys(recalled["subject"], "test"), answers)  # type: ignore[arg-type]
    return claims.make_claims(recalled, splits, PLAN.model_copy(update=changes), seed=0)


def test_a_relation_s_neurons_occur_in_more_than_the_share_of_the_largest_count() -> None:
    sets = {"r:1": ints(1, 2, 3), "r:2": ints(1, 2), "r:3": ints(1, 2), "r:4": ints(1)}
    relations = dict.fromkeys(["r:1", "r:2", "r:3", "r:4", "r:5"], "r") | {"q:1": "q"}
    kept = fact_checking.collect(sets, relations, share=0.7)
    assert {r: n.tolist() for r, n in kept.items()} == {"r": [1, 2]}  # counts 4, 3, 1: above 2.8
    strict = fact_checking.collect(sets, relations, share=0.75)
    assert strict["r"].tolist() == [1]  # 3 of 4 is not more than the share
    assert fact_checking.collect({}, relations, share=0.7) == {}


def test_random_sets_and_unconfirmed_ones_are_no_degenerate_neurons() -> None:
    table = pd.concat(
        [
            found(("r:1", (1, 2)), ("r:1", (2, 5, 9))),
            found(("r:1", (70, 71)), kind=RANDOM),
            found(("r:1", (60, 61)), kind=MATCHED),
            found(("r:1", (50, 51))).assign(degenerate=False),
        ]
    )
    kept = fact_checking.degenerate_members(table)
    assert {f: n.tolist() for f, n in kept.items()} == {"r:1": [1, 2, 5, 9]}


def test_only_training_facts_give_neurons() -> None:
    sets = found(("rel:both", (UNIT["a"], UNIT["b"])), ("rel:spare", (UNIT["c"], UNIT["d"])))
    stored = scores(TRAINED, [UNIT["a"], 20])
    result = fact_checking.detectors(
        fact_checking.degenerate_members(sets),
        stored,
        dict.fromkeys(TRAINED, "rel"),
        planted_pairs.source(),
        HOW,
        seed=0,
    )
    assert result["degenerate"]["rel"].tolist() == [UNIT["a"], UNIT["b"]]
    assert result["knowledge"]["rel"].tolist() == [UNIT["a"], 20]
    random = result["random"]["rel"]
    assert random.size == HOW.n_draws * 2
    assert not set(random.tolist()) & {UNIT["a"], UNIT["b"]}
    assert (random // N_NEURONS == 0).all()


def check(lm: LanguageModel, recalled: pd.DataFrame, sets: pd.DataFrame) -> fact_checking.Checked:
    return fact_checking.check_facts(
        lm,
        recalled,
        sets,
        scores([*TRAINED, "rel:sum"], [UNIT["a"]]),
        planted_pairs.source(),
        SETTINGS.model_copy(update={"checking": HOW}),
        seed=0,
    )


def detectors(sets: pd.DataFrame) -> dict[str, fact_checking.Sets]:
    return fact_checking.detectors(
        fact_checking.degenerate_members(sets),
        scores(TRAINED, [UNIT["a"]]),
        dict.fromkeys(TRAINED, "rel"),
        planted_pairs.source(),
        HOW,
        seed=0,
    )


def test_every_detector_scores_every_claim(lm: LanguageModel, recalled: pd.DataFrame) -> None:
    result = check(lm, recalled, found(("rel:both", (UNIT["a"], UNIT["b"]))))
    assert np.isfinite(result.claims[list(DETECTORS)].to_numpy(np.float64)).all()
    assert set(result.claims["subject"]) == {"sum", "idle"}  # whose answers are held out
    assert result.meta["relations_without"] == []
    assert result.meta["n_training_facts"] == 2  # the third's answer is held out
    assert result.meta["n_subjects"]["test"] == 2
    assert result.meta["probe"]["n_neurons"] == 0  # one answer trains: no false claim
    assert (result.claims[PROBE] == 0.5).all()


def test_degenerate_neurons_tell_true_claims_where_they_carry_the_answer(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    """`only_b` is told by b, found on `both`; b fires for no other subject."""
    sets = detectors(found(("rel:both", (UNIT["a"], UNIT["b"]))))
    made, _ = fact_checking.score(lm, all_tested(recalled), recalled, sets, HOW)
    own = made[made["fact"] == "rel:only_b"]
    true, false = own[own["label"]]["degenerate"], own[~own["label"]]["degenerate"]
    assert true.item() > false.max() + 0.1
    others = made[~made["subject"].isin(["only_b", "both", "only_a"])]
    np.testing.assert_allclose(others["degenerate"], 0, atol=1e-6)
    np.testing.assert_allclose(made["random"], 0, atol=1e-6)


def test_a_relation_without_degenerate_neurons_scores_nothing_and_is_counted(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    none = found(("rel:both", (1, 2))).iloc[:0]
    result = check(lm, recalled, none)
    with_some = check(lm, recalled, found(("rel:both", (UNIT["a"], UNIT["b"]))))
    assert result.meta["relations_without"] == ["rel"]
    assert (result.claims[["degenerate", "random"]] == 0).all(axis=None)
    same = [c for c in result.claims if c not in NEURONS]
    pd.testing.assert_frame_equal(result.claims[same], with_some.claims[same])


def test_the_score_is_the_mean_attribution_of_the_claimed_answer(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    made = all_tested(recalled)
    sets = {"degenerate": {"rel": ints(0, 1)}, "knowledge": {"rel": ints(80 - 1)}, "random": {}}
    by_neuron = fact_checking.contributions(lm, made, recalled, HOW)
    table = fact_checking.score_by_neurons(made, by_neuron, sets)
    tokens = CandidateTokens(lm)
    texts = tokens.answers("w0 x", " ", ["x0", "x1", "x2", "x3"])
    row = made.iloc[5]
    question = Question(f"w0 {row['subject']}", texts[row["place"]], tuple(texts))
    one = next(
        iter(
            gradients.integrated_gradients(
                lm, [question], baseline="zero", rule=gauss_legendre(2), target="candidates"
            )
        )
    )
    flat = one.scores.flatten()
    assert table.loc[5, "degenerate"] == pytest.approx(float(flat[:2].mean()), abs=1e-6)
    assert table.loc[5, "knowledge"] == pytest.approx(float(flat[79]), abs=1e-6)
    np.testing.assert_allclose(by_neuron[5], flat.numpy(), atol=1e-6)
    assert torch.isfinite(flat).all()


def test_one_radau_node_is_value_times_gradient(lm: LanguageModel, recalled: pd.DataFrame) -> None:
    made = all_tested(recalled)
    how = HOW.model_copy(update={"rule": "radau", "nodes": 1})
    found = fact_checking.contributions(lm, made, recalled, how)
    questions = fact_checking._questions(lm, made, recalled)
    for batch in gradients.gradient_activation(lm, questions, target="candidates"):
        np.testing.assert_allclose(found[batch.places], batch.scores.flatten(1), atol=1e-6)


def test_probabilities_are_those_of_the_recall_table(
    lm: LanguageModel, recalled: pd.DataFrame
) -> None:
    made = all_tested(recalled)
    backwards = made.iloc[::-1].reset_index(drop=True)
    table = fact_checking.score_by_probability(lm, backwards, recalled)
    for row in table.itertuples():
        of_fact = recalled[(recalled["fact"] == row.fact) & (recalled["template"] == row.template)]
        values = np.asarray(of_fact["log_probabilities"].iloc[0], dtype=np.float64)
        others = [v for i, v in enumerate(values) if i != row.place]
        assert row.claim_probability == pytest.approx(values[row.place], abs=1e-5)
        expected = values[row.place] - logsumexp(others)
        assert row.candidate_log_odds == pytest.approx(expected, abs=1e-5)
    assert (table["always_true"] == 1).all()
    assert table.loc[table["label"], "claim_probability"].min() > -20


def test_the_choice_of_false_answers_does_not_look_at_the_model(recalled: pd.DataFrame) -> None:
    moved = recalled.assign(log_probabilities=[v[::-1] for v in recalled["log_probabilities"]])
    first, again = (all_tested(table, n_negatives=1) for table in (recalled, moved))
    pd.testing.assert_frame_equal(first, again)


def test_barred_neurons_are_no_controls() -> None:
    source = planted_pairs.source()
    barred = RelationSets({}, source.size, np.union1d(source.banned, np.arange(12, 20)))
    drawn = fact_checking.detectors(
        {"rel:both": ints(0, 1)}, scores(TRAINED, [0]), {"rel:both": "rel"}, barred, HOW, seed=0
    )["random"]["rel"]
    assert not set(drawn.tolist()) & set(barred.banned.tolist())
