"""The tokens that vectors promote are those of a plain sort of all logits."""

import numpy as np
import pandas as pd
import pytest
import torch

import planted
import toy
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.value_vectors import at_head, scripts
from neuron_atlas.value_vectors.at_head import ValueVectors
from neuron_atlas.value_vectors.directions import ALL_SCRIPTS, PROMOTED, SUPPRESSED
from neuron_atlas.value_vectors.top_tokens import COLUMNS, SHARE, Listed, TopTokens

HOW = Listed(overall=6, per_script=3, counted=40)


@pytest.fixture(scope="module")
def top(toy_decoder: LanguageModel) -> TopTokens:
    words = scripts.vocabulary(toy_decoder.tokenizer, toy.SMALL["vocab_size"])
    return TopTokens(ValueVectors(toy_decoder, "hidden"), words, ["Greek", "Latin"], HOW)


@pytest.fixture(scope="module")
def heads(top: TopTokens) -> torch.Tensor:
    return top.vectors.of_neurons(1, torch.arange(5))


@pytest.fixture(scope="module")
def found(top: TopTokens, heads: torch.Tensor) -> pd.DataFrame:
    return top.table(heads, np.arange(10, 15))


def rows(found: pd.DataFrame, vector: int, direction: str, script: str) -> pd.DataFrame:
    own = found[(found["vector"] == vector) & (found["direction"] == direction)]
    return own[(own["script"] == script) & (own["token_id"] != SHARE)]


def test_tokens_are_those_of_a_full_sort(
    top: TopTokens, heads: torch.Tensor, found: pd.DataFrame
) -> None:
    logits = at_head.logits(heads, top.vectors.rows(torch.arange(top.vectors.n_tokens))).numpy()
    latin = top.words.of("Latin")
    for place, own in enumerate(logits):
        for direction, sign in ((PROMOTED, -1), (SUPPRESSED, 1)):
            order = np.lexsort((np.arange(len(own)), sign * own))
            for script, ids, n in (
                (ALL_SCRIPTS, order, HOW.overall),
                ("Latin", order[np.isin(order, latin)], HOW.per_script),
            ):
                listed = rows(found, 10 + place, direction, script)
                assert listed["token_id"].tolist() == ids[:n].tolist()
                np.testing.assert_allclose(listed["value"], own[ids[:n]], atol=1e-5)
                assert listed["rank"].tolist() == list(range(n))


def test_shares_are_of_the_first_tokens(
    top: TopTokens, heads: torch.Tensor, found: pd.DataFrame
) -> None:
    shares = found[found["token_id"] == SHARE]
    assert np.allclose(shares.groupby(["vector", "direction"])["value"].sum(), 1)
    logits = at_head.logits(heads, top.vectors.rows(torch.arange(top.vectors.n_tokens))).numpy()
    first = np.argsort(-logits[2], kind="stable")[: HOW.counted]
    named = pd.Series([top.words.scripts[i] for i in top.words.script[first]])
    own = shares[(shares["vector"] == 12) & (shares["direction"] == PROMOTED)]
    expected = named.value_counts(normalize=True)
    assert own.set_index("script")["value"].to_dict() == pytest.approx(expected.to_dict())


def test_a_script_without_tokens_is_not_listed(found: pd.DataFrame) -> None:
    assert "Greek" not in set(found["script"])


def test_a_vector_turned_around_promotes_what_the_other_suppresses(
    top: TopTokens, heads: torch.Tensor, found: pd.DataFrame
) -> None:
    other = top.table(-heads, np.arange(10, 15))
    turned = other.replace({"direction": {PROMOTED: SUPPRESSED, SUPPRESSED: PROMOTED}})
    keys = ["vector", "direction", "script", "rank", "token_id"]
    lists = found[found["token_id"] != SHARE].sort_values(keys).reset_index(drop=True)
    same = turned[turned["token_id"] != SHARE].sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(lists[keys], same[keys])
    assert (lists["value"] == -same["value"]).all()


def test_a_planted_fact_unit_promotes_its_answer_in_all_languages(
    planted_model: LanguageModel,
) -> None:
    words = scripts.vocabulary(planted_model.tokenizer, len(planted.vocabulary()))
    own = TopTokens(ValueVectors(planted_model, "hidden"), words, [], HOW)
    neuron = planted.NEURONS["fact:beta:s0"]
    heads = own.vectors.of_neurons(neuron.layer, torch.tensor([neuron.index]))
    listed = rows(own.table(heads, np.array([0])), 0, PROMOTED, ALL_SCRIPTS)
    answer = planted.answer("beta", "s0").replace(".", "_a")
    expected = sorted(planted.vocabulary()[f"{code}_{answer}"] for code in planted.LANGUAGES)
    assert listed["token_id"].tolist()[:3] == expected
    assert listed["value"].tolist() == [planted.GAIN] * 3 + [0.0] * 3
    assert listed["token_id"].tolist()[3:] == [0, 1, 2]  # ties by id


def test_of_no_vector_there_is_a_table_without_rows(top: TopTokens, heads: torch.Tensor) -> None:
    empty = top.table(heads[:0], np.arange(0))
    assert list(empty.columns) == list(COLUMNS)
    assert empty.empty
