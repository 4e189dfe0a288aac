"""The library finds the neurons that were planted by hand, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Float64
from torch import Tensor

import planted
from neuron_atlas.activations import extraction
from neuron_atlas.detectors import average_precision
from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import addresses, controls
from neuron_atlas.recall import answers
from neuron_atlas.scoring import ablation, candidates, log_probability
from neuron_atlas.scoring.trees import query
from neuron_atlas.wording import demonstrations
from planted import RELATIONS, STRENGTH

# What switching off the row's units does to the column's strength; 0 is exactly nothing.
CHANGE = {
    "alpha": {"alpha": -3.0, "beta": +0.5},  # interference: the inhibitor is one of alpha's
    "beta": {"beta": -2.5},
    "gamma": {"gamma": -3.0, "delta": -1.0},  # versatility: one unit is shared
    "delta": {"delta": -3.0, "gamma": -1.0},
    "epsilon": {"epsilon": -3.0},
}


@pytest.fixture(scope="module", params=planted.LANGUAGES)
def table(request: pytest.FixtureRequest) -> pd.DataFrame:
    return planted.fact_table(request.param)


@pytest.fixture(scope="module")
def asked(planted_model: LanguageModel, table: pd.DataFrame) -> pd.DataFrame:
    return answers.score(planted_model, demonstrations.with_demonstrations(table, shots=0, seed=0))


@pytest.fixture(scope="module")
def values(planted_model: LanguageModel, asked: pd.DataFrame) -> Tensor:
    return extracted(planted_model, asked)


def extracted(lm: LanguageModel, asked: pd.DataFrame) -> Tensor:
    """Return the values at the answer position, [prompt, neuron] with flat neurons."""
    readings = [extraction.reading(lm, p, (0, 1), "answer") for p in asked["prompt"]]
    result = torch.empty(len(readings), lm.n_layers, lm.n_neurons)
    for places, batch in extraction.extract(lm, readings):
        result[places] = batch
    return result.flatten(1)


def of_relation(asked: pd.DataFrame) -> Tensor:
    return torch.tensor([(asked["relation"] == r).tolist() for r in RELATIONS])


def plain_scores(asked: pd.DataFrame, values: Tensor) -> Float64[Tensor, "relation neuron"]:
    """AP with all paraphrases of a relation together, as in the paper."""
    return average_precision.average_precision(values, of_relation(asked))


def robust_scores(asked: pd.DataFrame, values: Tensor) -> Float64[Tensor, "relation neuron"]:
    """The smallest AP over paraphrases, the relation's other paraphrases ignored."""
    mine = of_relation(asked)
    folds = [
        mine & torch.tensor((asked["template"] == p).tolist()) for p in range(planted.N_PARAPHRASES)
    ]
    per_fold = [average_precision.average_precision(values, f, ignore=mine & ~f) for f in folds]
    return average_precision.template_robust(torch.stack(per_fold), "min")


def switched_off(
    lm: LanguageModel, asked: pd.DataFrame, sets: Sequence[np.ndarray], *, everywhere: bool = False
) -> list[np.ndarray]:
    """Return each prompt's candidate log-probabilities, [arm, candidate], under zeroed sets."""
    tokens = candidates.CandidateTokens(lm)
    queries = [
        query(lm, r.prompt, tokens.answers(r.prompt, r.separator, r.candidate_labels))
        for r in asked.itertuples()
    ]
    edits = ablation.edits_of(sets, torch.zeros(1, lm.n_layers, lm.n_neurons))
    return log_probability.log_probabilities(
        lm,
        queries,
        arms=[range(len(sets))] * len(queries),
        intervene=ablation.row_edits(lm, edits),
        everywhere=everywhere,
    )


def of_answer(asked: pd.DataFrame, found: Sequence[np.ndarray]) -> np.ndarray:
    """Return the right answer's log-probability, [prompt, arm]."""
    places = [list(r.candidates).index(r.objects[0]) for r in asked.itertuples()]
    return np.array([v[:, place] for v, place in zip(found, places, strict=True)])


def accuracy(asked: pd.DataFrame, found: Sequence[np.ndarray]) -> np.ndarray:
    """Return whether the answer beats every other candidate, [prompt, arm]."""
    right = [np.isin(r.candidates, r.objects) for r in asked.itertuples()]
    return np.array(
        [
            [answers.judge(row, ok).rank == 1 for row in v]
            for v, ok in zip(found, right, strict=True)
        ]
    )


def test_every_fact_is_known_with_the_probability_worked_out_by_hand(
    planted_model: LanguageModel, table: pd.DataFrame
) -> None:
    for shots in (0, 2):
        asked = demonstrations.with_demonstrations(table, shots=shots, seed=0)
        scored = answers.score(planted_model, asked)
        assert scored["correct"].all()
        expected = scored["relation"].map(STRENGTH).map(planted.log_probability)
        np.testing.assert_allclose(scored["log_probability"], expected, atol=planted.NATS)


def test_units_have_the_values_that_their_weights_give_them(
    asked: pd.DataFrame, values: Tensor
) -> None:
    def of(name: str) -> np.ndarray:
        return values[:, addresses.to_flat([planted.NEURONS[name]], planted.N_NEURONS)[0]].numpy()

    relation, subject, template = (asked[c] for c in ("relation", "subject", "template"))
    for name, expected in {
        "first:epsilon": relation == "epsilon",
        "shared": relation.isin(["gamma", "delta"]),
        "inhibitor": relation.map({"alpha": 2, "beta": 1}).fillna(0),
        "trap:delta.1": (relation == "delta") & (template == 1),
        "subject:s5:1": subject == "s5",
        "constant:0": subject != "",
        "fact:beta:s7": 2.5 * ((relation == "beta") & (subject == "s7")),
    }.items():
        np.testing.assert_array_equal(of(name), expected.to_numpy(dtype=float), err_msg=name)


@pytest.mark.parametrize("split", ["identification", "held_out"])
def test_exactly_the_planted_units_come_out_on_top(
    asked: pd.DataFrame, values: Tensor, split: str
) -> None:
    chosen = (asked["split"] == split).tolist()
    found = robust_scores(asked[chosen], values[torch.tensor(chosen)])
    for r, row in zip(RELATIONS, found, strict=True):
        top = addresses.top_k(average_precision.rank(row), planted.M)
        assert np.sort(top).tolist() == planted.planted(r).tolist()
        own = planted.planted(r)[
            [
                n != planted.SHARED
                for n in addresses.to_neurons(planted.planted(r), planted.N_NEURONS)
            ]
        ]
        assert (row[own] == 1).all()
        assert (row < 1).sum() == len(row) - len(own)  # nothing else is perfect


def test_a_unit_of_one_wording_is_chance_over_wordings_but_not_without_folds(
    asked: pd.DataFrame, values: Tensor
) -> None:
    robust, plain = robust_scores(asked, values), plain_scores(asked, values)
    for i, r in enumerate(RELATIONS):
        traps = addresses.to_flat(sorted(planted.TRAPS[r]), planted.N_NEURONS)
        assert len(traps) == planted.N_PARAPHRASES + 1
        chance = 1 / (1 + planted.N_PARAPHRASES * (len(RELATIONS) - 1))
        torch.testing.assert_close(
            robust[i, traps], torch.full_like(robust[i, traps], chance), rtol=0, atol=1e-12
        )
        assert (plain[i, traps] > 1.9 * 0.2).all()  # positive control: it works; chance is 0.2
    for r in ("gamma", "delta"):  # and it even displaces the shared unit
        top = addresses.top_k(average_precision.rank(plain[RELATIONS.index(r)]), planted.M)
        named = addresses.to_neurons(top, planted.N_NEURONS)
        assert planted.SHARED not in named
        assert planted.NEURONS[f"loud trap:{r}"] in named


@pytest.mark.parametrize("everywhere", [False, True])
def test_switching_off_planted_units_changes_exactly_what_it_should(
    planted_model: LanguageModel, asked: pd.DataFrame, everywhere: bool
) -> None:
    some = asked[asked["subject"].isin(asked["subject"].unique()[:4])]
    sets = [np.empty(0, np.int64), *(planted.planted(r) for r in RELATIONS)]
    found = switched_off(planted_model, some, sets, everywhere=everywhere)
    logp, right = of_answer(some, found), accuracy(some, found)
    assert right[:, 0].all()
    for arm, off in enumerate(RELATIONS, 1):
        for measured in RELATIONS:
            rows = (some["relation"] == measured).to_numpy()
            change = CHANGE[off].get(measured, 0.0)
            expected = planted.log_probability(STRENGTH[measured] + change)
            np.testing.assert_allclose(logp[rows, arm], expected, atol=planted.NATS)
            assert (right[rows, arm] == (off != measured)).all()
            if change == 0:
                np.testing.assert_array_equal(logp[rows, arm], logp[rows, 0])


def test_interference_is_the_inhibitor_s_alone(
    planted_model: LanguageModel, asked: pd.DataFrame
) -> None:
    rows = asked[asked["relation"] == "beta"]
    inhibitor = addresses.to_flat([planted.INHIBITOR], planted.N_NEURONS)
    rest = np.setdiff1d(planted.planted("alpha"), inhibitor)
    logp = of_answer(rows, switched_off(planted_model, rows, [rest, inhibitor]))
    np.testing.assert_allclose(logp[:, 0], planted.log_probability(2.5), atol=planted.NATS)
    np.testing.assert_allclose(logp[:, 1], planted.log_probability(3.0), atol=planted.NATS)
    assert planted.log_probability(3.0) > planted.log_probability(2.5) + 0.1


def test_each_planted_unit_counts(planted_model: LanguageModel, asked: pd.DataFrame) -> None:
    """A dose: with k of epsilon's three units off, its strength is 3 - k."""
    rows = asked[asked["relation"] == "epsilon"]
    sets = [planted.planted("epsilon")[:k] for k in range(planted.M + 1)]
    logp = of_answer(rows, switched_off(planted_model, rows, sets))
    expected = [planted.log_probability(planted.M - k) for k in range(planted.M + 1)]
    np.testing.assert_allclose(logp, np.broadcast_to(expected, logp.shape), atol=planted.NATS)


def test_matched_random_sets_are_silent(
    planted_model: LanguageModel, asked: pd.DataFrame, values: Tensor
) -> None:
    """Matched by layer and size, they never are the fact units that every answer goes through."""
    some = asked[asked["subject"].isin(asked["subject"].unique()[:4])]
    size = values.abs().mean(0).view(planted.N_LAYERS, planted.N_NEURONS).double().numpy()
    every = np.concatenate([planted.planted(r) for r in RELATIONS])
    for r in RELATIONS:
        draws = controls.matched_random(
            planted.planted(r), size, names=(r,), seed=0, n_draws=5, exclude=every
        )
        found = switched_off(planted_model, some, [np.empty(0, np.int64), *draws])
        for v in found:
            np.testing.assert_array_equal(v[1:], np.broadcast_to(v[0], v[1:].shape))
        assert (size.flat[draws].mean(1) > 0.1).all()  # positive control: they are active units


def test_random_units_of_all_layers_are_not_silent(
    planted_model: LanguageModel, asked: pd.DataFrame
) -> None:
    """Positive control of the above: without matching, fact units are hit."""
    rows = asked.head(40)
    last = np.arange(2 * planted.N_NEURONS, 3 * planted.N_NEURONS)
    found = switched_off(planted_model, rows, [np.empty(0, np.int64), last])
    assert (of_answer(rows, found)[:, 1] < of_answer(rows, found)[:, 0] - 1).all()


def test_the_saved_folder_and_tables_are_what_the_stages_read(
    planted_model: LanguageModel, tmp_path: Path
) -> None:
    lm = language_model.load(planted.save(tmp_path / "model"), device="cpu")
    for a, b in zip(
        lm.network.state_dict().values(), planted_model.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)
    planted.write_facts(tmp_path / "facts")
    tables = {
        code: fact_table.read_facts(tmp_path / f"facts/{code}.parquet")
        for code in planted.LANGUAGES
    }
    asked = demonstrations.with_demonstrations(tables["xb"], shots=1, seed=3)
    assert answers.score(lm, asked)["correct"].all()
    same = ["fact", "objects", "split", "template"]
    assert tables["xa"][same].equals(tables["xc"][same])
    assert not set(tables["xa"]["prompt"]) & set(tables["xc"]["prompt"])
