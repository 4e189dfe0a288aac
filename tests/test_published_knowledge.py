"""The figures of Dai et al. and Chen et al. as published, by hand; their words and their page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted_pairs
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets, up_to_pairs
from neuron_atlas.pipeline import store
from published import protocols
from published.knowledge import arms, checking, contrasts, degenerate, sharing, success
from published.knowledge.plan import Plan

EXACT = 1e-5
PLAN = Plan()
A, B = "r:a", "s:b"


def rows(*listed: tuple[str, str, str, float, float]) -> pd.DataFrame:
    """Rows of one method's sets: fact, where, operation, probability before and after."""
    table = pd.DataFrame(listed, columns=["fact", "where", "operation", "p", "q"])
    return table.assign(
        method="m",
        control=arms.SET,
        draw=-1,
        template=0,
        k=2,
        push=1.0,
        before=np.log(table["p"]),
        effect=np.log(table["q"] / table["p"]),
    )


def test_the_success_rate_is_the_ratio_of_mean_relative_changes() -> None:
    table = rows(
        (A, "related", "suppress", 0.5, 0.25),
        (B, "related", "suppress", 0.1, 0.1),
        (A, "any", "suppress", 0.5, 0.45),
        (B, "any", "suppress", 0.5, 0.5),
        (A, "related", "enhance", 0.1, 0.3),
        (B, "related", "enhance", 0.1, 0.2),
        (B, "related", "enhance", 0.001, 0.999),  # 998 times as much: they drop it
        (A, "any", "enhance", 0.1, 0.05),
        (B, "any", "enhance", 0.1, 0.1),
    )
    found = success.success(table, "m")
    assert found["suppress"]["ratio"] == pytest.approx(-0.25 / -0.05)
    assert found["enhance"]["ratio"] == pytest.approx(1.5 / -0.25)
    assert found["ratio"] == pytest.approx(5 + 6)
    assert found["dropped"] == 1
    nothing = success.success(table[table["where"] == "related"], "m")
    assert nothing["ratio"] is None


def test_dai_s_figure_is_mean_change_over_mean_probability() -> None:
    table = rows(
        (A, "bag", "suppress", 0.8, 0.4),
        (A, "bag", "suppress", 0.2, 0.3),
        (A, "other_bag", "suppress", 0.5, 0.5),
        (A, "bag", "enhance", 0.4, 0.5),
    )
    found = success.change_ratio(table, "m")
    assert found["suppress"] == {"own": pytest.approx(-0.3), "other": pytest.approx(0)}
    assert found["enhance"] == {"own": pytest.approx(0.1 / 0.4), "other": None}


def test_controls_are_taken_off_fact_by_fact_and_relations_are_the_sample() -> None:
    effects = {  # of (suppress, enhance), nats
        (A, arms.SET): (-1.0, 1.0),
        (A, arms.PUSH): (-0.5, 0.1),
        (B, arms.SET): (-0.2, 0.2),
        (B, arms.PUSH): (0.0, 0.2),
    }
    table = pd.concat(
        [
            rows((fact, where, o, 0.5, 0.5 * np.exp(e))).assign(control=control)
            for (fact, control), pair in effects.items()
            for o, e in zip(("suppress", "enhance"), pair, strict=True)
            for where in ("related", "held_out")
        ]
    )
    found = {one.name: one for one in success.steps(table, "m", {A: "r", B: "s"})}
    assert found["alone"].test is not None
    assert found["push"].test is not None
    assert found["alone"].test.effect.mean == pytest.approx((1.0 + 0.2) / 2)
    assert found["push"].test.effect.mean == pytest.approx((0.7 + 0.1) / 2)
    assert found["held_out"].test == found["push"].test
    assert found["sibling"].test is None
    shares = {one["name"]: one["share"] for one in contrasts.listed([*found.values()])}
    assert shares["push"] == pytest.approx(0.4 / 0.6)


def test_words_for_what_is_left() -> None:
    alone = {"mean": 1.0, "low": 0.5, "high": 1.5, "share": 1.0}
    assert contrasts.left({**alone, "mean": 0.4, "low": 0.1, "share": 0.4}, alone) == "40 % is left"
    less = {"mean": 0.1, "low": -0.1, "high": 0.3, "share": 0.1}
    assert contrasts.left(less, alone) == "cannot be told from 0 (10 %)"
    reversed_ = {"mean": -0.2, "low": -0.3, "high": -0.1, "share": -0.2}
    assert contrasts.left(reversed_, alone) == "the opposite"
    assert contrasts.left({"mean": None}, alone) == "not to be had here"
    assert contrasts.left(less, less) == "nothing was there"
    assert contrasts.left(alone, reversed_) == "seen with this control alone"


def test_the_published_rule_takes_additive_pairs_and_log_odds_do_not() -> None:
    """`both` has two neurons of which either is enough, `sum` two that merely add up."""
    lm = planted_pairs.model()
    prompts = FactPrompts(lm, planted_pairs.recalled(lm))
    for subject, names, additive in (("both", "ab", False), ("sum", "ef", True)):
        own = tuple(sorted(planted_pairs.UNIT[name] for name in names))
        wanted = [PromptSets(f"{planted_pairs.RELATION}:{subject}", 0, up_to_pairs([*own, 20]))]
        (one,) = prompts.suppress(wanted)
        table = degenerate.pairs(one, PLAN).set_index(["a", "b"])
        assert table["found"].to_dict() == {pair: pair == own for pair in table.index}
        p = np.exp(one.clean - np.array([0, *(one.drops[s] for s in [own[:1], own[1:], own])]))
        odds = np.log(p / (1 - p))
        expected = odds[1] + odds[2] - odds[0] - odds[3]
        assert table.loc[own, "interaction"] == pytest.approx(expected, abs=EXACT)
        assert bool(table.loc[own, "interaction"] > PLAN.negligible) is not additive
        relative = 1 - p[1:] / p[0]
        assert relative[:2].max() <= PLAN.low
        assert relative[2] > PLAN.high


def pair_rows(control: str, fact: str, *drops: tuple[float, float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(drops, columns=["drop_a", "drop_b", "drop", "interaction"])
    found = (table[["drop_a", "drop_b"]].max(axis=1) <= 0.22) & (table["drop"] > 0.29)
    return table.assign(
        a=0, b=range(1, len(table) + 1), fact=fact, control=control, draw=-1, where="related",
        template=0, found=found,
    )  # fmt: skip


def test_steps_of_degenerate_pairs_by_hand() -> None:
    """A finds a real pair and an additive one, B an additive one; another fact's find one."""
    own = [
        pair_rows("set", A, (0.1, 0.1, 0.9, 0.8), (0.2, 0.2, 0.4, 0.0), (0.1, 0.1, 0.1, -0.2)),
        pair_rows("set", B, (0.2, 0.2, 0.4, 0.0), (0.0, 0.0, 0.0, 0.0)),
    ]
    other = [pair_rows("other", f, (0.2, 0.2, 0.4, 0.0), (0.0, 0.0, 0.0, 0.0)) for f in (A, B)]
    again = [part.iloc[:1].assign(where="held_out") for part in (*own, *other)]
    table = pd.concat([*own, *other, *again], ignore_index=True)
    found = degenerate.figures(table, {A: "r", B: "s"}, PLAN)
    assert (found["facts"], found["facts_with_any"]) == (2, 2)
    assert (found["pairs"], found["found"], found["additive"]) == (5, 3, 2)
    means = {one["name"]: one["mean"] for one in found["steps"]}
    assert means["alone"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert means["other"] == pytest.approx((2 / 3 + 1 / 2) / 2 - 1 / 2)
    assert means["held_out"] == pytest.approx((1 / 3 + 1 / 2) / 2 - 1 / 2)
    assert means["log_odds"] == pytest.approx((1 / 3 + 0) / 2)
    assert means["opposite"] == pytest.approx((1 / 3 - 1 / 3 + 0) / 2)
    assert means["size"] is None
    assert {f: m.tolist() for f, m in degenerate.members(table).items()} == {
        A: [0, 1, 2],
        B: [0, 1],
    }


def test_shared_neurons_beside_those_of_other_facts() -> None:
    one = {"r:a": np.array([1, 2, 3]), "r:b": np.array([1, 5]), "s:c": np.array([7])}
    two = {"r:a": np.array([2, 3, 4]), "r:b": np.array([5, 3]), "s:c": np.array([1])}
    facts = list(one)
    assert sharing.mismatched(one, two, "r:a", facts, lambda a, b: a != b) == pytest.approx(
        (0.5 * (1 + 0) + 0.5 * (1 + 0)) / 2
    )
    assert np.isnan(sharing.mismatched(one, two, "s:c", facts, lambda a, b: a == b != "s:c"))


def test_claims_are_told_apart_fact_by_fact() -> None:
    scored = pd.DataFrame(
        {
            "fact": [A, A, B, B, "s:c", "s:c"],
            "relation": ["r", "r", "s", "s", "s", "s"],
            "label": [True, False] * 3,
            "degenerate": [0.5, 0.1, 2e-6, 0.0, 0.2, 0.3],
            "knowledge": [0.1, 0.5, 0.0, 0.0, 0.2, 0.1],
            "random": [0.0] * 6,
            "claim_probability": [-1.0, -2.0, -1.0, -3.0, -2.0, -1.0],
            "candidate_log_odds": [1.0, -1.0, 2.0, -1.0, -0.5, 0.5],
            "always_true": [1.0] * 6,
        }
    )
    found = checking.figures(scored, {A: "r", B: "s"}, PLAN)
    assert (found["covered"], found["claims"]) == (2, 6)
    detector = found["detectors"]["degenerate"]
    assert detector["precision"] == pytest.approx(3 / 5)
    assert detector["recall"] == 1
    assert detector["f1"] == pytest.approx(2 * 0.6 / 1.6)
    assert found["detectors"]["always_true"]["f1"] == pytest.approx(2 / 3)
    means = {one["name"]: one["mean"] for one in found["steps"]}
    assert means["alone"] == pytest.approx((1 + 0.5) / 2 - 0.5)
    assert means["random"] == means["alone"]
    assert means["knowledge"] == pytest.approx(((1 - 0) + (1 + 0 - 0.5 - 1) / 2) / 2)
    assert means["claim_probability"] == pytest.approx(0)


def test_the_page_has_a_place_for_each_section_and_keeps_it() -> None:
    text = Path(__file__).parents[1].joinpath("docs", "protocols.md").read_text(encoding="utf-8")
    for name in protocols.SECTIONS:
        assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- end of {name} -->\n") == 1
    assert protocols.written(text) == text


def test_a_section_replaces_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SECTIONS", {"one": lambda found: f"# It\n{found['x']}\n"})
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- one -->\nold\n<!-- end of one -->\nb\n")
    assert protocols.written(file.read_text(), tmp_path) == file.read_text()
    store.write_json(tmp_path / "one.json", {"x": 3})
    for _ in range(2):
        text = protocols.written(file.read_text(), tmp_path)
        assert text == "a\n<!-- one -->\n## It\n3\n<!-- end of one -->\nb\n"
        file.write_text(text)
    with pytest.raises(ValueError, match="expected the page to have"):
        protocols.written("nothing", tmp_path)
