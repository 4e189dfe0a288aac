"""Areas agree with scikit-learn, ties included; tokens of two relations are on no side."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import planted
import planted_scores
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.value_vectors import answer_tokens, areas
from neuron_atlas.value_vectors.answer_tokens import Sides
from neuron_atlas.value_vectors.areas import Ranked
from neuron_atlas.value_vectors.at_head import ValueVectors


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_an_area_is_that_of_scikit_learn(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, size=(3, 20)) if ties else rng.standard_normal((3, 20))
    side = rng.permutation([1] * 5 + [0] * 9 + [2] * 6)  # 2: on neither
    own, others = (torch.from_numpy(side == one) for one in (1, 0))
    found = Ranked.of(torch.from_numpy(values.astype(np.float32))).area(own, others)
    used = side < 2
    expected = [roc_auc_score(side[used], row[used].astype(np.float32)) for row in values]
    np.testing.assert_allclose(found, expected, atol=1e-6)  # counts are exact in float32


def test_tokens_of_two_relations_and_of_siblings_are_not_compared() -> None:
    found = {
        "capital": frozenset({1, 2, 3}),
        "country": frozenset({3, 10, 11}),
        "neighbour": frozenset({10, 12}),
        "unit": frozenset({20}),
    }
    near = {"country": frozenset({"neighbour"}), "neighbour": frozenset({"country"})}
    compared = answer_tokens.sides(found, near)
    assert compared["capital"] == Sides((1, 2), (10, 11, 12, 20))
    assert compared["country"] == Sides((10, 11), (1, 2, 20))
    assert compared["neighbour"] == Sides((10, 12), (1, 2, 20))  # 3 begins its sibling's
    assert compared["unit"] == Sides((20,), (1, 2, 3, 10, 11, 12))
    alone = answer_tokens.sides({"country": frozenset({1}), "neighbour": frozenset({2})}, near)
    assert alone == {}


def test_answers_begin_as_the_candidates_do(planted_model: LanguageModel) -> None:
    found = answer_tokens.beginnings(planted_model, planted_scores.recalled(planted_model, "xa"))
    words = planted.vocabulary()
    expected = {words[f"xa_beta_a{i}"] for i in range(planted.N_ANSWERS)}
    assert set(found) == set(planted.RELATIONS)
    assert found["beta"] == expected


def test_a_fact_unit_writes_its_relation_and_a_trap_writes_none(
    planted_model: LanguageModel,
) -> None:
    own = ValueVectors(planted_model, "hidden")
    compared = answer_tokens.sides(
        answer_tokens.beginnings(planted_model, planted_scores.recalled(planted_model, "xa")), {}
    )
    heads = [
        own.of_neurons(n.layer, torch.tensor([n.index]))
        for n in (planted.NEURONS["fact:alpha:s1"], planted.NEURONS["trap:alpha.0"])
    ]
    found = dict(areas.of_vectors(own, torch.cat(heads), compared))
    assert found["alpha"].tolist() == [0.5 + 0.5 / planted.N_ANSWERS, 0.5]  # one answer, then ties
    assert found["beta"][0] < 0.5
    assert found["beta"][1] == 0.5
    assert list(areas.of_vectors(own, torch.cat(heads), {})) == []
