"""The claims on knowledge neurons, on tables whose truth is known."""

import re

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.knowledge_findings.fact_checking import CLAIM
from neuron_atlas.verdicts import interest
from neuron_atlas.verdicts.knowledge_verdicts import (
    amig_beats_baselines,
    degenerate_neurons_exist,
    language_independent_neurons_exist,
)
from neuron_atlas.verdicts.language_verdicts import language_specific_neurons_exist
from neuron_atlas.verdicts.verdict import Verdict
from simulated_knowledge import FEW, KNOWLEDGE, Case, Spread

RIVALS = ("two", "three")
# Sees the effects of interest.
PRECISE = Spread(attribution=0.47, sharing=1.5, editing=0.8, candidates=30, text=0.05)


def case(seed: int, mean: float = 0.0, spread: Spread = PRECISE) -> Case:
    return Case(np.random.default_rng([7, seed]), mean, spread)


def facts(*, relations: int = 12, each: int = 2, languages: int = 6) -> pd.DataFrame:
    return case(0, spread=Spread(relations=relations)).facts(each=each, items=languages)


@pytest.mark.parametrize("claim", [name for name in KNOWLEDGE if name != CLAIM])
def test_a_null_is_rarely_called_supported_and_the_effect_of_interest_mostly(claim: str) -> None:
    judge, effect = KNOWLEDGE[claim].judge, KNOWLEDGE[claim].interest
    wrong = [-3 * effect] if KNOWLEDGE[claim].falls else []
    words = {
        mean: [judge(case(seed, mean)).verdict for seed in range(60)]
        for mean in (0.0, effect, *wrong)
    }
    assert words[0.0].count("supported") <= 6  # P < 0.02 at 5 %
    assert words[effect].count("supported") >= 42  # P < 0.03 at 80 %
    assert all(words[mean].count("contradicted") >= 42 for mean in wrong)


def test_detectors_that_help_are_found_where_there_are_any() -> None:
    judge, all_cells = KNOWLEDGE[CLAIM].judge, Spread(covered=1.0)
    null = [judge(case(seed, 0.0, all_cells)).verdict for seed in range(12)]
    helped = [judge(case(seed, interest.FACT_CHECKING, all_cells)).verdict for seed in range(12)]
    assert null.count("supported") <= 3  # P < 0.002 at 5 %
    assert helped.count("supported") >= 7  # P < 0.02 at 80 %
    assert judge(case(0, 0.0, FEW)).verdict == "untestable"


def test_perfect_detectors_in_half_of_the_cells_are_found() -> None:
    """The others have none, which is no evidence against those that do."""
    judge, half = KNOWLEDGE[CLAIM].judge, Spread(covered=0.5)
    words = [judge(case(seed, 0.23, half)).verdict for seed in range(4)]  # of at most 0.24
    assert words == ["supported"] * 4


def test_few_relations_are_untestable() -> None:
    two = facts(relations=2)
    rates = two.assign(n=9, up=4, down=0, null_up=0, null_down=0)
    found = degenerate_neurons_exist(rates, measured="Measured.", negligible=0.002)
    assert found.verdict == "untestable"
    assert found.reason == "Needs facts of 3 relations, and has them of 2"


def test_no_pair_at_all_is_worth_what_was_looked_at() -> None:
    """Of 100 pairs none says little; of 10,000 it says that they are rare."""
    table = facts(languages=1).assign(up=0, down=0, null_up=0, null_down=0)
    few, many = (
        degenerate_neurons_exist(table.assign(n=n), measured="Measured.", negligible=0.002)
        for n in (4, 400)
    )
    assert few.verdict == "untestable"
    assert few.mde == pytest.approx(11 / 96, rel=0.1)  # what 80 of 100 runs would call significant
    assert few.reason is not None
    assert "of all pairs" in few.reason
    assert many.verdict == "not supported"
    assert many.effect.high < 0.002


def test_opposite_pairs_and_those_of_controls_are_subtracted() -> None:
    table = facts(each=4, languages=2)
    counts = {"up": 3, "down": 0, "null_up": 0, "null_down": 0}

    def said(**changes: int) -> Verdict:
        rates = table.assign(n=40, **counts | changes)
        return degenerate_neurons_exist(rates, measured="Measured.", negligible=0.002)

    assert said().verdict == "supported"
    assert said().effect.mean == pytest.approx(3 / 40)
    for other in ("down", "null_up"):
        assert said(**{other: 3}).effect.mean == 0
        assert said(**{other: 3}).verdict != "supported"
    assert said(down=3, null_down=3).effect.mean == pytest.approx(3 / 40)


def test_the_fact_is_told_from_its_answer() -> None:
    table, one = facts(languages=1), case(0)
    rows = table.assign(
        same_fact=5 + one.noise(table["fact"], 0.15),
        same_relation=2.0,
        same_answer=5 + one.noise(table["fact"], 0.15),
        one_text=np.arange(len(table)) % 2 == 0,
    )
    found = language_independent_neurons_exist(rows, negligible=0.2)
    assert found.verdict in ("not supported", "untestable", "undecided")
    assert "facts with one answer" in found.because
    assert "the same text in all languages" in found.because
    apart = language_independent_neurons_exist(rows.assign(same_answer=np.nan), negligible=0.2)
    assert apart.verdict == "supported"


def test_a_claim_against_several_rivals_needs_all_of_them() -> None:
    table, made = facts(), case(0)
    noise = {name: made.noise(table["fact"], 0.07) for name in ("one", *RIVALS)}
    effects = table.assign(one=1 + noise["one"], two=noise["two"], three=1 + noise["three"])
    found = amig_beats_baselines(effects, "one", RIVALS, measured="M.", negligible=0.05)
    assert found.verdict in ("not supported", "undecided")
    assert "hardest rival is three" in found.because
    alone = amig_beats_baselines(effects, "one", ("two",), measured="M.", negligible=0.05)
    assert alone.verdict == "supported"


def measured(rows: dict[str, tuple[float, float]], *, languages: int = 6) -> pd.DataFrame:
    """Four texts per language; by kind its push and its effect, with a little noise."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "measured": np.repeat([f"x{i}" for i in range(languages)], 4),
                "fact": [f"x{i}:{j}" for i in range(languages) for j in range(4)],
                "kind": kind,
                "push": push,
                "effect": effect + 0.01 * push * rng.normal(size=4 * languages),
            }
        )
        for kind, (push, effect) in rows.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(language=table["measured"])


def test_a_language_s_neurons_must_be_needed_by_it_more_than_by_others() -> None:
    """Other languages' neurons push half as hard; what they do is carried over to the whole."""
    own = {"set": (2.0, -0.4), "push_matched": (2.0, -0.1), "own_scaled": (1.0, -0.2)}
    special = language_specific_neurons_exist(
        measured(own | {"other_set": (1.0, -0.05)}), negligible=0.01
    )
    assert special.verdict == "supported"
    assert special.effect.mean == pytest.approx(-0.3, abs=0.02)
    assert re.search(r"those of other languages by -0\.(09|10|11)", special.because)
    alike = language_specific_neurons_exist(
        measured(own | {"other_set": (1.0, -0.2)}), negligible=0.01
    )  # harm to text of any language
    assert alike.verdict in ("not supported", "undecided")
    pushy = language_specific_neurons_exist(
        measured(own | {"push_matched": (2.0, -0.4), "other_set": (1.0, 0.0)}), negligible=0.01
    )  # harm by anything that pushes as hard
    assert pushy.verdict in ("not supported", "undecided")


def test_two_languages_are_untestable_and_so_are_neurons_that_move_no_other_text() -> None:
    rows = {"set": (2.0, -0.4), "push_matched": (2.0, -0.1), "own_scaled": (1.0, -0.2)}
    rows |= {"other_set": (1.0, 0.0)}
    two = language_specific_neurons_exist(measured(rows, languages=2), negligible=0.01)
    assert (two.verdict, "has them of 2" in (two.reason or "")) == ("untestable", True)
    still = {**rows, "own_scaled": (0.0, 0.0), "other_set": (0.0, 0.0)}
    none = language_specific_neurons_exist(measured(still), negligible=0.01)
    assert (none.verdict, "has them of 0" in (none.reason or "")) == ("untestable", True)
    alone = measured(rows)
    bare = language_specific_neurons_exist(alone[alone["kind"] == "set"], negligible=0.01)
    assert bare.verdict == "untestable"
