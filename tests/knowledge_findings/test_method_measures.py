"""Rank measures equal SciPy's, curves and recall are worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from neuron_atlas.knowledge_findings import method_measures as measures

VALUES = st.lists(st.integers(-3, 3), min_size=3, max_size=12)


@given(VALUES, st.integers(0, 1000))
def test_rank_correlation_is_scipys_with_ties(values: list[int], seed: int) -> None:
    a = np.array(values, dtype=np.float64)
    b = np.random.default_rng(seed).integers(-2, 3, size=len(a)).astype(np.float64)
    found = measures.spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_recall_counts_the_common_best() -> None:
    scores, exact = np.array([4.0, 3.0, 2.0, 1.0, 0.0]), np.array([1.0, 5.0, 0.0, 4.0, 3.0])
    assert measures.recall(scores, exact, 2) == 0.5  # 0 and 1; 1 and 3
    assert measures.recall(scores, exact, 3) == 1 / 3
    assert measures.recall(scores, exact, 9) == 1
    assert measures.recall(exact, exact, 2) == 1


def test_faithfulness_is_the_share_that_comes_back() -> None:
    values = np.array([-3.0, -2.0, -1.0, 0.0])
    found = measures.faithfulness(values, clean=-1.0, none=-3.0)
    assert found.tolist() == [0, 0.5, 1, 1.5]
    assert np.isnan(measures.faithfulness(values, clean=-1.0, none=-1.05)).all()
    assert np.isnan(measures.faithfulness(values, clean=-3.0, none=-1.0)).all()  # they hinder


def test_areas_are_means_over_doublings() -> None:
    assert measures.mean_over_sizes(np.array([0.0, 1.0, 1.0])) == 0.75
    assert measures.mean_over_sizes(np.array([0.25])) == 0.25
    assert measures.mean_over_sizes(np.ones(10)) == 1


ROWS = [
    *(("score", "good", n, float(-n)) for n in range(6)),
    *(("score", "bad", n, float(n)) for n in range(6)),
    *(("drop", "zero", n, float(-n)) for n in range(6)),
    *(("drop", "mean", n, [6.0, 5.0, 1.0, 2.0, 3.0, 4.0][n]) for n in range(6)),
    *(("target", name, -1, value) for name, value in (("clean", -1.0), ("none", -3.0))),
    *(("kept", "good", k, v) for k, v in ((1, -2.0), (2, -1.0), (4, -1.0))),
    *(("taken", "good", k, v) for k, v in ((1, -2.0), (2, -3.0), (4, -3.0))),
    *(("kept", "bad", k, v) for k, v in ((1, -3.0), (2, -3.0), (4, -2.0))),
    *(("taken", "bad", k, -1.0) for k in (1, 2, 4)),
    *(("error", name, -1, v) for name, v in (("good", 0.25), ("bad", np.nan))),
    *(("forward", name, -1, v) for name, v in (("good", 3.0), ("bad", 1.0))),
    *(("backward", name, -1, v) for name, v in (("good", 2.0), ("bad", 0.0))),
]
OWN = {"good": "zero", "bad": "mean"}


def table(fact: str = "r:a") -> pd.DataFrame:
    found = pd.DataFrame(ROWS, columns=["quantity", "name", "item", "value"])
    return found.assign(fact=fact, relation=fact.partition(":")[0], template=0)


def test_a_fact_s_measures_are_those_worked_out_by_hand() -> None:
    found = measures.of_fact(table(), own=OWN, top=2)
    good, bad = found["good"], found["bad"]
    assert set(good) == set(bad) == set(measures.MEASURES)
    assert good["spearman_zero"] == good["spearman_own"] == 1
    assert good["recall_zero"] == good["recall_mean"] == 1
    assert bad["spearman_zero"] == -1
    assert bad["recall_zero"] == bad["recall_own"] == 0
    # Neurons 2 and 3 are among no method's best two.
    assert good["spearman_random_zero"] == 1
    assert good["spearman_random_mean"] == -1
    assert bad["spearman_random_own"] == bad["spearman_random_mean"] == 1
    assert good["cpr"] == pytest.approx((0.5 / 2 + 1 + 1 / 2) / 2)  # 0.5, 1, 1
    assert good["cmd"] == pytest.approx(0.5 / 2 / 2)
    assert good["take_away"] == pytest.approx((0.5 / 2 + 1 + 1 / 2) / 2)
    assert bad["cpr"] == pytest.approx(0.5 / 2 / 2)
    assert bad["cmd"] == pytest.approx(1 - 0.5 / 2 / 2)
    assert bad["take_away"] == 0
    assert (good["error"], good["forward"], good["backward"]) == (0.25, 3, 2)
    assert np.isnan(bad["error"])


def test_languages_have_a_row_per_fact_and_method() -> None:
    both = pd.concat([table("r:a"), table("q:b")], ignore_index=True)
    found = measures.of_language(both, language="xx", own=OWN, top=2)
    assert found["fact"].tolist() == ["q:b", "q:b", "r:a", "r:a"]
    assert found["method"].tolist() == ["good", "bad", "good", "bad"]
    assert set(found["language"]) == {"xx"}
    nothing = measures.of_language(both.iloc[:0], language="xx", own=OWN, top=2)
    assert len(nothing) == 0
    assert list(nothing) == list(found)
