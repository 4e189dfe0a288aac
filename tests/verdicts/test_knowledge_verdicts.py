"""The claims on knowledge neurons, on tables whose truth is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.verdicts import interest
from neuron_atlas.verdicts.knowledge_verdicts import (
    amig_beats_baselines,
    cross_lingual_editing,
    degenerate_neurons_exist,
    language_independent_neurons_exist,
)
from neuron_atlas.verdicts.verdict import Verdict

RIVALS = ("two", "three")
Judge = Callable[[np.random.Generator, float], Verdict]


def facts(*, relations: int = 12, each: int = 2, languages: int = 6) -> pd.DataFrame:
    names = [f"r{r}:{i}" for r in range(relations) for i in range(each)]
    return pd.DataFrame({"fact": np.repeat(names, languages)})


def spread(rng: np.random.Generator, fact: pd.Series, scale: float) -> np.ndarray:
    """Noise of relations, of facts and of items, in equal parts."""
    relation = fact.str.partition(":")[0]
    parts = [
        fact.map(dict(zip(names, rng.normal(size=len(names)), strict=True))).to_numpy(np.float64)
        if names is not None
        else rng.normal(size=len(fact))
        for names in (fact.unique(), None)
    ]
    own = dict(zip(relation.unique(), rng.normal(size=relation.nunique()), strict=True))
    return scale * (relation.map(own).to_numpy(np.float64) + sum(parts)) / np.sqrt(3)


def attributed(rng: np.random.Generator, mean: float) -> Verdict:
    table = facts()
    columns = {name: spread(rng, table["fact"], 0.5) for name in ("one", *RIVALS)}
    columns["one"] = columns["one"] + mean
    return amig_beats_baselines(
        table.assign(**columns), "one", RIVALS, measured="Measured.", negligible=0.05
    )


def edited(rng: np.random.Generator, mean: float) -> Verdict:
    table = facts()
    columns = {name: spread(rng, table["fact"], 0.8) for name in ("one", *RIVALS)}
    columns["one"] = columns["one"] + mean
    return cross_lingual_editing(
        table.assign(**columns), "one", RIVALS, measured="Measured.", negligible=0.05
    )


def shared(rng: np.random.Generator, mean: float) -> Verdict:
    table = facts(languages=1)
    same = 5 + spread(rng, table["fact"], 1.5)
    return language_independent_neurons_exist(
        table.assign(
            same_fact=same + mean, same_relation=same, same_answer=np.nan, one_text=True
        ).assign(same_relation=lambda t: t["same_relation"] + spread(rng, t["fact"], 1.5)),
        negligible=0.1,
    )


def degenerate(rng: np.random.Generator, mean: float) -> Verdict:
    table = facts(each=4)
    n = 200
    own, random = (rng.binomial(n, p, size=len(table)) / n for p in (0.004 + mean, 0.004))
    rates = table.assign(rate=own, null_rate=random, n=n, null_n=n)
    return degenerate_neurons_exist(rates, measured="Measured.", negligible=0.002)


CLAIMS: dict[str, tuple[Judge, float]] = {
    "amig_beats_baselines": (attributed, interest.ATTRIBUTION),
    "cross_lingual_editing": (edited, interest.EDITING),
    "language_independent_neurons_exist": (shared, interest.LANGUAGE_INDEPENDENT),
    "degenerate_neurons_exist": (degenerate, interest.DEGENERATE),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_null_is_rarely_called_supported_and_the_effect_of_interest_mostly(claim: str) -> None:
    judge, effect = CLAIMS[claim]
    wrong = [] if claim == "degenerate_neurons_exist" else [-3 * effect]  # no rate is below 0
    words = {
        mean: [judge(np.random.default_rng([7, seed]), mean).verdict for seed in range(60)]
        for mean in (0.0, effect, *wrong)
    }
    assert words[0.0].count("supported") <= 6  # P < 0.02 at 5 %
    assert words[effect].count("supported") >= 42  # P < 0.03 at 80 %
    assert all(words[mean].count("contradicted") >= 42 for mean in wrong)


def test_few_relations_are_untestable() -> None:
    two = facts(relations=2)
    rates = two.assign(rate=0.5, null_rate=0.0, n=9, null_n=9)
    found = degenerate_neurons_exist(rates, measured="Measured.", negligible=0.002)
    assert found.verdict == "untestable"
    assert found.reason == "Needs facts of 3 relations, and has them of 2"


def test_no_pair_at_all_is_worth_what_was_looked_at() -> None:
    """Of 100 pairs none says little; of 10,000 it says that they are rare."""
    table = facts(languages=1).assign(rate=0.0, null_rate=0.0)
    few, many = (
        degenerate_neurons_exist(
            table.assign(n=n, null_n=n), measured="Measured.", negligible=0.002
        )
        for n in (4, 400)
    )
    assert few.verdict == "untestable"
    assert few.mde == pytest.approx(1 - 0.2 ** (1 / 96))
    assert few.reason is not None
    assert "of all pairs" in few.reason
    assert many.verdict == "not supported"
    assert many.effect.high < 0.002


def test_the_fact_is_told_from_its_answer() -> None:
    table = facts(languages=1)
    rng = np.random.default_rng(0)
    rows = table.assign(
        same_fact=5 + spread(rng, table["fact"], 0.2),
        same_relation=2.0,
        same_answer=5 + spread(rng, table["fact"], 0.2),
        one_text=np.arange(len(table)) % 2 == 0,
    )
    found = language_independent_neurons_exist(rows, negligible=0.2)
    assert found.verdict in ("not supported", "untestable", "undecided")
    assert "facts with one answer" in found.because
    assert "the same text in all languages" in found.because
    apart = language_independent_neurons_exist(rows.assign(same_answer=np.nan), negligible=0.2)
    assert apart.verdict == "supported"


def test_a_claim_against_several_rivals_needs_all_of_them() -> None:
    table = facts()
    rng = np.random.default_rng(0)
    noise = {name: spread(rng, table["fact"], 0.1) for name in ("one", *RIVALS)}
    effects = table.assign(one=1 + noise["one"], two=noise["two"], three=1 + noise["three"])
    found = amig_beats_baselines(effects, "one", RIVALS, measured="M.", negligible=0.05)
    assert found.verdict in ("not supported", "undecided")
    assert "hardest rival is three" in found.because
    alone = amig_beats_baselines(effects, "one", ("two",), measured="M.", negligible=0.05)
    assert alone.verdict == "supported"
