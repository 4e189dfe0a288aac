"""Effects on made-up measurements whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.findings import effects, flips
from neuron_atlas.verdicts import arms, relation_verdicts, sharing_verdicts

RELATIONS, LANGUAGES = ("a", "b", "c", "d"), ("xx", "yy")
DRAWS, FACTS, SIZES = 8, 10, (25, 50, 100)
PUSHED = -0.3  # what anything that pushes as hard as a set does, nats
CONTROLS = ("push_matched", "size_matched", "direction")


def measurements(
    rng: np.random.Generator, *, within: float = 0.0, across: float = 0.0, noise: float = 0.2
) -> pd.DataFrame:
    """Sets that change their own relation by `within` and others by `across` beyond their push."""
    items = pd.MultiIndex.from_product(
        [RELATIONS, range(FACTS), LANGUAGES], names=["measured", "number", "language"]
    ).to_frame(index=False)
    items["fact"] = items["measured"] + ":" + items["number"].astype(str)
    shared = pd.Series(rng.normal(scale=noise, size=len(RELATIONS) * FACTS))
    items["shared"] = shared.repeat(len(LANGUAGES)).to_numpy()  # languages of a fact go together

    def arm(kind: str, relation: pd.Series, beyond: float, **more: object) -> pd.DataFrame:
        change = PUSHED + beyond + items["shared"] + rng.normal(scale=noise, size=len(items))
        row = {"draw": -1, "order": "", "k": 100, "alpha": 1.0, "push": 2.0} | more
        return items.assign(kind=kind, relation=relation, effect=change, **row)

    own, parts = items["measured"], []
    parts.append(arm("set", own, within))
    for shift in (1, 2, 3):
        place = (own.map(RELATIONS.index) + shift) % len(RELATIONS)
        other = place.map(dict(enumerate(RELATIONS)))
        parts += [arm("set", other, across), arm("other_set", other, 0.0)]
        parts.append(arm("own_scaled", own, within))
        parts += [arm("push_matched", other, 0.0, draw=i) for i in range(4)]
    for kind in CONTROLS:
        pushed = PUSHED / 3 - PUSHED if kind == "size_matched" else 0.0
        parts += [arm(kind, own, pushed, draw=i) for i in range(DRAWS)]
    for k in SIZES[:-1]:
        grown, less = within * k / 100, PUSHED * (k / 100 - 1)
        parts += [arm("dose", own, grown + less, order=o, k=k) for o in ("rank", "reverse")]
        parts += [arm("dose", own, less, order="push_matched", k=k, draw=i) for i in range(DRAWS)]
    for alpha in (0.5, 2.0):
        scaled = {"alpha": alpha, "push": 2 * alpha}
        more = (alpha - 1) * PUSHED
        parts.append(arm("curve", own, more + alpha * within, order="set", **scaled))
        parts += [arm("curve", own, more, order="push_matched", draw=i, **scaled) for i in (0, 1)]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        context="none",
        seen=False,
        known=table["number"] % 2 == 0,
        template=3,
        effect_type=table["effect"] / 4,
        effect_given_type=table["effect"] / 2,
        effect_later=table["effect"] / 4,
        correct_before=table["number"] > 0,
        correct_after=(table["number"] > 0) & (table["effect"] > -0.9),
    )


@pytest.fixture(scope="module")
def planted() -> pd.DataFrame:
    return measurements(np.random.default_rng(0), within=-1.0)


def test_an_excess_is_the_set_s_effect_less_the_mean_of_its_draws() -> None:
    table = arms.held_out(measurements(np.random.default_rng(1)), right=True)
    own = arms.own(table)
    found = arms.excess(arms.of_kind(own, "set"), arms.of_kind(own, "push_matched"))
    keys = ["fact", "language"]
    means = arms.of_kind(own, "push_matched").groupby(keys)["effect"].mean()
    slow = arms.of_kind(own, "set").set_index(keys)["effect"] - means
    np.testing.assert_allclose(np.sort(found.items["excess"]), np.sort(slow), atol=1e-12)
    assert found.n_relations == len(RELATIONS)
    assert found.arm - found.control == pytest.approx(slow.mean(), abs=1e-9)


def test_contrasts_show_what_each_control_leaves(planted: pd.DataFrame) -> None:
    found = effects.contrasts(planted).set_index(["questions", "control", "part"]).sort_index()
    for questions in ("right", "all"):
        for control, beyond in {
            "push_matched": -1.0,
            "direction": -1.0,
            "other_set": -1.0,
            "size_matched": -1.0 + PUSHED * 2 / 3,  # it pushed less
        }.items():
            whole = found.loc[questions, control, "effect"]
            assert whole["excess"] == pytest.approx(beyond, abs=0.15)
            assert whole["low"] < whole["excess"] < whole["high"] < 0
            assert whole["p_value"] < 0.01
            assert whole["push"] == whole["push_random"] == 2
            parts = found.loc[questions, control].loc[
                ["effect_type", "effect_given_type", "effect_later"]
            ]
            assert parts["excess"].sum() == pytest.approx(whole["excess"], abs=1e-6)
    assert found.loc[("right", "push_matched", "effect"), "n_items"] == 4 * 9 * 2
    assert found.loc[("all", "push_matched", "effect"), "n_items"] == 4 * 10 * 2


def test_questions_are_reported_apart(planted: pd.DataFrame) -> None:
    seen = planted.assign(seen=True, effect=planted["effect"] * 2)
    shown = planted.assign(context="block_0", effect=0.0)
    every = pd.concat([planted, seen, shown], ignore_index=True)
    found = (
        effects.contrasts(every).set_index(["questions", "control", "part"])["excess"].sort_index()
    )
    assert {name for name, *_ in found.index} == {"right", "all", "seen", "block_0"}
    alone = (
        effects.contrasts(planted)
        .set_index(["questions", "control", "part"])["excess"]
        .sort_index()
    )
    pd.testing.assert_series_equal(found.loc[["all", "right"]], alone)
    assert found["seen", "push_matched", "effect"] == pytest.approx(
        2 * alone["right", "push_matched", "effect"]
    )
    assert found["block_0", "push_matched", "effect"] == 0


def test_planted_effects_are_found_where_they_are(planted: pd.DataFrame) -> None:
    cells = effects.cells(planted)
    assert len(cells) == len(RELATIONS) ** 2
    own = cells["relation"] == cells["measured"]
    assert (cells.loc[own, "p_adjusted"] < 0.01).all()
    assert (cells.loc[own, ["low", "high"]].to_numpy() < 0).all()
    np.testing.assert_allclose(cells.loc[own, "excess"], -1, atol=0.35)
    np.testing.assert_allclose(cells.loc[own, "effect"], -1 + PUSHED, atol=0.35)
    assert (cells.loc[~own, "p_adjusted"] > 0.05).all()
    assert (cells["n_facts"] == FACTS).all()
    assert (cells["n_broken"] + cells["n_mended"] <= cells["n_items"]).all()


def test_nothing_is_found_where_nothing_is() -> None:
    """Although everything pushes; over 12 tables few families hold a significant cell."""
    rng = np.random.default_rng(1)
    found = [effects.cells(measurements(rng)) for _ in range(12)]
    assert sum((c["p_adjusted"] < 0.05).any() for c in found) <= 3
    assert all(c["effect"].mean() < PUSHED / 2 for c in found)  # positive control


def test_improvements_elsewhere_are_interference() -> None:
    better = measurements(np.random.default_rng(2), within=-1.0, across=0.8)
    assert sharing_verdicts.interference(better, negligible=0.05).verdict == "supported"
    worse = measurements(np.random.default_rng(2), within=-1.0, across=-0.8)
    assert sharing_verdicts.versatility_relations(worse, negligible=0.05).verdict == "supported"
    null = measurements(np.random.default_rng(3))
    for claim in (sharing_verdicts.interference, sharing_verdicts.versatility_relations):
        assert claim(null, negligible=0.05).verdict in {"undecided", "untestable"}
    precise = measurements(np.random.default_rng(4), noise=0.005)
    assert sharing_verdicts.interference(precise, negligible=0.05).verdict == "not supported"


def test_harm_to_everything_is_not_relation_neurons(planted: pd.DataFrame) -> None:
    """The set pushes no harder than its controls: what all of them do is no relation's own."""
    found = relation_verdicts.relation_neurons_exist(planted, negligible=0.05)
    assert found.verdict == "supported"
    null = measurements(np.random.default_rng(5))
    assert relation_verdicts.relation_neurons_exist(null, negligible=0.05).verdict != "supported"
    harmful = planted["kind"].isin(["other_set"])
    same = planted.assign(effect=planted["effect"].where(~harmful, planted["effect"] - 1.0))
    assert relation_verdicts.relation_neurons_exist(same, negligible=0.05).verdict != "supported"


def test_specificity_compares_at_equal_push(planted: pd.DataFrame) -> None:
    """A set that is scaled down to another one's push has to do more there, not unscaled."""
    weak = planted["kind"].isin(["own_scaled", "other_set"])
    scaled = planted.assign(effect=planted["effect"].where(~weak, -0.01))
    assert relation_verdicts.relation_neurons_exist(scaled, negligible=0.05).verdict != "supported"


def test_dose_curves_end_in_the_whole_set(planted: pd.DataFrame) -> None:
    items = effects.dose_items(planted)
    curves = effects.doses(items)
    ends = curves[curves["k"] == 100].set_index("order")["effect"]
    assert ends["rank"] == ends["reverse"]
    assert ends["push_matched"] == pytest.approx(PUSHED, abs=0.15)
    assert ends["rank"] == pytest.approx(PUSHED - 1, abs=0.15)
    areas = effects.areas(items)
    assert areas["rank"].mean == pytest.approx(ends["rank"] / 2, abs=0.06)  # a straight line
    assert (curves["share"] == curves["k"] / 100).all()


def test_curves_over_pushes_give_effects_per_unit(planted: pd.DataFrame) -> None:
    found = effects.pushes(planted).set_index(["order", "alpha"])
    assert set(found.index) == {(o, a) for o in ("set", "push_matched") for a in (0.5, 1.0, 2.0)}
    np.testing.assert_allclose(found["push"], 2 * found.index.get_level_values("alpha"))
    for (order, alpha), row in found.iterrows():
        truth = alpha * (PUSHED - (order == "set"))
        assert row["effect"] == pytest.approx(truth, abs=0.15)
        assert row["effect_per_push"] == pytest.approx(row["effect"] / row["push"])


def test_flips_are_counted_both_ways_one_vote_per_fact(planted: pd.DataFrame) -> None:
    found = flips.flips(planted)
    own = planted[(planted["kind"] == "set") & (planted["relation"] == planted["measured"])]
    broken = own["correct_before"] & ~own["correct_after"]
    assert found["all"]["broken"] == broken.sum() > 0
    assert found["all"]["mended"] == 0
    assert found["known"]["broken"] + found["unknown"]["broken"] == found["all"]["broken"]
    assert found["all"]["broken_random"] < found["all"]["broken"] / 4
    assert found["all"]["mcnemar_p"] < 0.01
    mended = planted.assign(
        correct_before=planted["correct_after"], correct_after=planted["correct_before"]
    )
    assert flips.flips(mended)["all"]["mended"] == broken.sum()


def test_a_control_that_lacks_an_item_leaves_it_out(planted: pd.DataFrame) -> None:
    rows = arms.own(arms.held_out(planted, right=False))
    sets, drawn = arms.of_kind(rows, "set"), arms.of_kind(rows, "push_matched")
    fewer = arms.excess(sets, drawn[drawn["fact"] != "a:3"])
    assert len(fewer.items) == len(sets) - len(LANGUAGES)
    assert arms.excess(sets, drawn.iloc[:0]).n_relations == 0
