"""RankC and agreement: by hand, and the axioms that a measure of agreement has to meet."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.findings import consistency


def naive_rankc(a: np.ndarray, b: np.ndarray) -> float:
    """Equations 1-3 of Qi et al. (2023), for one fact, term by term."""
    n = len(a)
    order_a, order_b = np.argsort(-a, kind="stable"), np.argsort(-b, kind="stable")
    weights = [np.exp(n - j) for j in range(1, n + 1)]
    shares = [len(set(order_a[:j]) & set(order_b[:j])) / j for j in range(1, n + 1)]
    return float(np.dot(weights, shares) / np.sum(weights))


@given(st.integers(2, 9), st.integers(0, 10_000))
@settings(max_examples=40)
def test_rankc_is_its_definition(n: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 3, n))
    expected = [naive_rankc(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(consistency.rankc(a, b), expected, rtol=1e-12)


@given(st.integers(2, 9), st.integers(0, 10_000))
@settings(max_examples=40)
def test_rankc_is_symmetric_and_one_for_equal_rankings(n: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 3, n))
    np.testing.assert_allclose(consistency.rankc(a, b), consistency.rankc(b, a))
    np.testing.assert_allclose(consistency.rankc(a, 2 * a + 1), 1)
    assert (consistency.rankc(a, -a) < 1).all()


def test_the_best_candidates_weigh_most() -> None:
    a = np.array([[4.0, 3.0, 2.0, 1.0]])
    top, bottom = np.array([[3.0, 4.0, 2.0, 1.0]]), np.array([[4.0, 3.0, 1.0, 2.0]])
    assert consistency.rankc(a, top)[0] < 0.5 < consistency.rankc(a, bottom)[0]


def test_different_candidates_are_refused() -> None:
    with pytest.raises((TypeError, ValueError), match=r"shape|candidate"):
        consistency.rankc(np.zeros((1, 3)), np.zeros((1, 4)))


def table(predictions: dict[str, list[str]]) -> pd.DataFrame:
    rows = [
        {"relation": "r", "fact": fact, "template": i, "predicted": p}
        for fact, some in predictions.items()
        for i, p in enumerate(some)
    ]
    return pd.DataFrame(rows)


def test_agreement_counts_pairs_of_paraphrases() -> None:
    found = consistency.agreement(table({"r:1": ["a", "a", "b"], "r:2": ["c", "c", "c"]}))
    assert found.to_dict("records") == [
        {"relation": "r", "agreement": pytest.approx((1 / 3 + 1) / 2), "n_facts": 2}
    ]


def test_one_paraphrase_says_nothing_of_agreement() -> None:
    assert consistency.agreement(table({"r:1": ["a"]})).empty


def test_the_precision_s_error_is_taken_where_it_was_measured() -> None:
    recalled = table({"r:1": ["a", "a"], "r:2": ["b", "b"]}).assign(
        log_probability=[-1.0, -2.0, -3.0, -4.0],
        reference=[-1.1, np.nan, np.nan, -3.7],
        log_probabilities=[np.array([0.0, -1.0])] * 4,
        complete=[np.array([True, True])] * 4,
        candidates=[["a", "b"]] * 4,
    )
    found = consistency.measure_consistency(
        {"xx": recalled, "yy": recalled.assign(reference=np.nan)}
    )
    assert found["precision_error"].keys() == {"xx"}
    assert found["precision_error"]["xx"]["median"] == pytest.approx(0.2)
    same = {"a": "xx", "b": "yy", "relation": "r", "n_facts": 2}
    assert found["languages"] == [{**same, "rankc": pytest.approx(1), "rankc_error": 0}]


def test_the_error_of_rankings_with_upper_bounds_is_bounded() -> None:
    """Whatever the true scores are below their bounds, RankC errs by no more than it says."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 8))
    complete = rng.random((200, 8)) < rng.random((200, 1))
    upper = np.where(complete, a, a + rng.exponential(size=a.shape))
    error = consistency.rankc_error(upper, complete)
    off = np.abs(consistency.rankc(upper, b) - consistency.rankc(a, b))
    assert (off <= error + 1e-12).all()
    assert (error[complete.all(1)] == 0).all()
    assert off.max() > 0.1  # positive control: it does err
    late = np.ones((1, 8), dtype=np.bool_)
    late[0, upper[0].argmin()] = False  # the last place alone is unsure
    assert 0 < consistency.rankc_error(upper[:1], late)[0] < np.exp(-6)


def test_rankings_are_compared_on_the_answers_that_both_languages_have() -> None:
    """One language lacks "b", the other "d", and they list the rest in another order."""
    rows = table({"r:1": ["a"], "r:2": ["b"]}).assign(
        log_probability=-1.0, reference=np.nan, complete=[np.ones(4, dtype=np.bool_)] * 2
    )
    one = rows.assign(candidates=[["a", "b", "c", "e"]] * 2, log_probabilities=[np.arange(4.0)] * 2)
    two = rows.assign(
        candidates=[["e", "d", "c", "a"]] * 2, log_probabilities=[-np.arange(4.0)] * 2
    )
    (found,) = consistency.measure_consistency({"xx": one, "yy": two})["languages"]
    assert found["rankc"] == pytest.approx(1)
    turned = two.assign(log_probabilities=[np.arange(4.0)] * 2)
    (other,) = consistency.measure_consistency({"xx": one, "yy": turned})["languages"]
    assert other["rankc"] < 1
    alone = two.assign(candidates=[["x", "y", "z", "a"]] * 2)
    assert consistency.measure_consistency({"xx": one, "yy": alone})["languages"] == []
