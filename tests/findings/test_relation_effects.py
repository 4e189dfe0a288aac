"""What one relation's neurons do, on made-up measurements whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from test_effects import LANGUAGES, RELATIONS, measurements

from neuron_atlas.findings import effects, relation_effects

KEYS = ["questions", "control", "part", "relation"]


@pytest.fixture(scope="module")
def planted() -> pd.DataFrame:
    return measurements(np.random.default_rng(0), within=-1.0)


@pytest.fixture(scope="module")
def own(planted: pd.DataFrame) -> pd.DataFrame:
    return relation_effects.own_effects(planted)


def joined(own: pd.DataFrame) -> pd.DataFrame:
    return own[own["language"].isna()].set_index(KEYS).sort_index()


def test_there_is_a_row_for_each_relation_control_and_part(own: pd.DataFrame) -> None:
    n = len(RELATIONS) * len(effects.CONTROLS) * len(relation_effects.QUESTIONS)
    assert len(own) == n * (len(effects.PARTS) + len(LANGUAGES))
    assert not own.drop(columns="language").isna().any().any()


def test_beside_random_neurons_of_equal_push_it_is_the_cell_of_the_matrix(
    planted: pd.DataFrame, own: pd.DataFrame
) -> None:
    cells = effects.cells(planted)
    diagonal = cells[cells["relation"] == cells["measured"]].set_index("relation")
    found = joined(own).loc["all", "push_matched", "effect"]
    for name in ("excess", "low", "high", "p_adjusted", "n_facts", "n_items"):
        np.testing.assert_allclose(found[name], diagonal.loc[found.index, name])


def test_a_planted_effect_is_found_beyond_every_control(own: pd.DataFrame) -> None:
    whole = own[own["part"] == "effect"]
    np.testing.assert_allclose(whole["excess"], -1.0, atol=0.6)
    pooled = whole[whole["language"].isna()]
    assert (pooled["high"] < 0).mean() > 0.9
    np.testing.assert_allclose(own["effect"] - own["random"], own["excess"], atol=1e-9)


def test_an_interval_holds_0_where_nothing_is() -> None:
    rng = np.random.default_rng(5)
    tables = [relation_effects.own_effects(measurements(rng)) for _ in range(6)]
    found = pd.concat(tables)
    none = found[(found["part"] == "effect") & (found["control"] != "size_matched")]
    assert ((none["low"] < 0) & (none["high"] > 0)).mean() > 0.9


def test_the_parts_of_an_effect_add_up_to_it(own: pd.DataFrame) -> None:
    by_part = joined(own)["excess"].unstack("part")
    parts = by_part[["effect_type", "effect_given_type", "effect_later"]].sum(axis=1)
    np.testing.assert_allclose(parts, by_part["effect"], atol=1e-9)


def test_an_effect_in_one_language_shows_there_alone() -> None:
    table = measurements(np.random.default_rng(2), noise=0.05)
    hit = table["kind"].isin(["set", "own_scaled"]) & (table["language"] == "xx")
    hit &= table["relation"] == table["measured"]
    changed = table.assign(effect=table["effect"] - 2.0 * hit)
    found = relation_effects.own_effects(changed)
    whole = found[found["part"] == "effect"]
    assert (whole.loc[whole["language"] == "xx", "high"] < -1).all()
    np.testing.assert_allclose(
        whole.loc[(whole["language"] == "yy") & (whole["control"] != "size_matched"), "excess"],
        0.0,
        atol=0.15,
    )


def test_one_relation_of_too_few_facts_is_left_out(planted: pd.DataFrame) -> None:
    few = planted[(planted["measured"] != "a") | (planted["number"] < 3)]
    assert set(relation_effects.own_effects(few)["relation"]) == set(RELATIONS) - {"a"}


def test_nothing_measured_gives_no_rows(planted: pd.DataFrame) -> None:
    none = relation_effects.own_effects(planted.head(0))
    assert list(none) == relation_effects.OWN
    assert none.empty


def test_each_language_s_cells_are_means_over_facts(planted: pd.DataFrame) -> None:
    found = relation_effects.cells_by_language(planted)
    assert len(found) == len(RELATIONS) ** 2 * (1 + len(LANGUAGES))
    cells = effects.cells(planted).set_index(["relation", "measured"])
    whole = found[found["language"].isna()].set_index(["relation", "measured"]).loc[cells.index]
    np.testing.assert_allclose(whole["effect"] - whole["random_effect"], cells["excess"])
    one = found[(found["language"] == "yy") & (found["measured"] == "b")].set_index("relation")
    rows = planted[(planted["language"] == "yy") & (planted["measured"] == "b")]
    for relation in RELATIONS:
        for kind, name in (("set", "effect_type"), ("push_matched", "random_effect_type")):
            some = rows[(rows["kind"] == kind) & (rows["relation"] == relation)]
            assert one.loc[relation, name] == pytest.approx(some["effect_type"].mean())
    assert (one["n_facts"] == 10).all()


def test_a_relation_with_one_rival_is_left_out_and_narrows_no_other_s_interval(
    planted: pd.DataFrame,
) -> None:
    """One set says nothing of how much sets differ; two relations alone have no more."""
    first, second = RELATIONS[:2]
    beside = planted["kind"].eq("other_set") & planted["measured"].eq(first)
    one, none = (
        relation_effects.own_effects(planted[~beside | kept])
        for kept in (planted["relation"].eq(second), pd.Series(False, index=planted.index))
    )
    pd.testing.assert_frame_equal(one, none)
    assert first not in set(one.loc[one["control"] == "other_set", "relation"])
    assert second in set(one.loc[one["control"] == "other_set", "relation"])
