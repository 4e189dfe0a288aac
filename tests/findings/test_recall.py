"""Popularity beside recall: found where it is planted, and not made by easy relations."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from neuron_atlas.findings.recall import FEWEST, by_popularity

N, TEMPLATES = 60, 4


def recalled(rng: np.random.Generator, chance: np.ndarray, relation: list[str]) -> pd.DataFrame:
    right = rng.random((len(chance), TEMPLATES)) < chance[:, None]
    rows = [
        {"fact": f"{r}:{i}", "relation": r, "correct": bool(one), "known": bool(row.mean() > 0.5)}
        for i, (r, row) in enumerate(zip(relation, right, strict=True))
        for one in row
    ]
    return pd.DataFrame(rows)


def by_fact(relation: list[str], views: np.ndarray) -> dict[str, float]:
    return {f"{r}:{i}": float(v) for i, (r, v) in enumerate(zip(relation, views, strict=True))}


def test_popular_subjects_that_are_known_are_found() -> None:
    rng = np.random.default_rng(0)
    views = rng.lognormal(5, 2, N)
    relation = ["p", "q"] * (N // 2)
    table = recalled(rng, views.argsort().argsort() / N, relation)
    popularity = {
        f"{r}:{i}": float(v) for i, (r, v) in enumerate(zip(relation, views, strict=True))
    }
    found = by_popularity({"en": table, "fr": table}, {"en": popularity, "fr": {}})
    assert set(found) == {"en"}
    one = found["en"]
    right = table.groupby("fact", sort=False)["correct"].mean()
    expected = spearmanr(right, [popularity[fact] for fact in right.index]).statistic
    assert one["n_facts"] == N
    assert one["rho"]["mean"] == pytest.approx(expected)
    assert one["rho"]["low"] > 0.3
    assert one["rho_within"]["low"] > 0.3
    assert one["known"] > one["unknown"]


def test_an_easy_relation_of_popular_subjects_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    relation = ["easy"] * (N // 2) + ["hard"] * (N // 2)
    easy = np.array([r == "easy" for r in relation])
    views = rng.lognormal(5, 0.5, N) * np.where(easy, 100, 1)
    table = recalled(rng, np.where(easy, 0.9, 0.1), relation)
    popularity = {
        f"{r}:{i}": float(v) for i, (r, v) in enumerate(zip(relation, views, strict=True))
    }
    one = by_popularity({"en": table}, {"en": popularity})["en"]
    assert one["rho"]["low"] > 0.5
    assert one["rho_within"]["low"] < 0 < one["rho_within"]["high"]


def test_what_does_not_vary_has_no_correlation_and_few_facts_are_left_out() -> None:
    table = recalled(np.random.default_rng(0), np.ones(FEWEST), ["p"] * FEWEST)
    popularity = {f"p:{i}": float(i) for i in range(FEWEST)}
    one = by_popularity({"en": table}, {"en": popularity})["en"]
    assert one["rho"] is one["rho_within"] is one["unknown"] is None
    del popularity["p:0"]
    assert by_popularity({"en": table}, {"en": popularity}) == {}
