"""Knowledge neurons are those of the published rule, refined over paraphrases."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.pipeline import store

METHOD = "attribution"


def table(scores: dict[tuple[str, int], dict[int, float]]) -> pd.DataFrame:
    """Stored scores of one method, from {(fact, template): {neuron: score}}."""
    rows = [
        (fact, "r", template, METHOD, rank, neuron, score)
        for (fact, template), found in scores.items()
        for rank, (neuron, score) in enumerate(sorted(found.items(), key=lambda x: -x[1]))
    ]
    return pd.DataFrame(rows, columns=knowledge_sets.COLUMNS)


SCORES = table(
    {
        ("f", 0): {5: 1.0, 3: 0.5, 9: 0.1},
        ("f", 1): {5: 2.0, 3: 0.5, 8: 1.9},
        ("g", 0): {1: 4.0, 2: 3.9},
    }
)


def test_neurons_above_a_share_of_the_largest() -> None:
    """Eq. 6-7 by hand: of f only 5 exceeds 0.3 of the largest in both paraphrases."""
    found = knowledge_sets.select(SCORES, method=METHOD, tau=0.3, share=1.0)
    assert {k: v.tolist() for k, v in found.items()} == {"f": [5], "g": [1, 2]}
    half = knowledge_sets.select(SCORES, method=METHOD, tau=0.3, share=0.5)
    assert half["f"].tolist() == [5, 8, 3]


def test_the_best_k_come_first() -> None:
    found = knowledge_sets.select(SCORES, method=METHOD, tau=0.0, share=0.1, k=2)
    assert found["f"].tolist() == [5, 8]


def test_a_fact_without_agreement_has_an_empty_set() -> None:
    scores = table({("f", 0): {1: 1.0}, ("f", 1): {2: 1.0}})
    found = knowledge_sets.select(scores, method=METHOD, tau=0.5, share=1.0)
    assert found["f"].size == 0
    assert found["f"].dtype == np.int64


def test_grades_are_means_over_paraphrases() -> None:
    grades = knowledge_sets.grade_neurons(SCORES, method=METHOD).set_index(["fact", "neuron"])
    assert grades.loc[("f", 5), "score"] == 1
    assert grades.loc[("f", 8), "score"] == pytest.approx(0.475)  # absent in one paraphrase
    assert grades.loc["f"].sort_values("rank").index.tolist() == [5, 8, 3, 9]


@given(st.dictionaries(st.integers(0, 50), st.floats(0.01, 10), min_size=1), st.floats(0, 0.9))
def test_one_paraphrase_is_the_published_rule(found: dict[int, float], tau: float) -> None:
    chosen = knowledge_sets.select(table({("f", 0): found}), method=METHOD, tau=tau, share=1.0)
    largest = max(found.values())
    assert set(chosen["f"].tolist()) == {n for n, s in found.items() if s / largest > tau}


@pytest.mark.parametrize(
    "wrong", [{"tau": 1.0}, {"tau": -0.1}, {"share": 0.0}, {"share": 1.1}, {"k": 0}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    right = {"tau": 0.2, "share": 0.5, "k": 3}
    with pytest.raises(ValueError, match="expected tau in"):
        knowledge_sets.select(SCORES, method=METHOD, **{**right, **wrong})  # type: ignore[arg-type]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="no scores of method 'other' are stored"):
        knowledge_sets.grade_neurons(SCORES, method="other")


def test_scores_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    store.write_table(tmp_path / "scores.parquet", SCORES.assign(score=np.nan))
    with pytest.raises(ValueError, match="the score of neuron 5 for fact 'f' is nan"):
        knowledge_sets.read_scores(tmp_path)
