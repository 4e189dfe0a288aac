"""Which prompts test neurons: none that select any, the same facts everywhere, in a firm order."""

import numpy as np
import pandas as pd
import pytest

import toy
from neuron_atlas.arms import tested_prompts
from neuron_atlas.arms.tested_prompts import all_conditions
from neuron_atlas.facts import roles
from neuron_atlas.wording import demonstrations


def recalled(language: str) -> pd.DataFrame:
    """Return the recall table's columns that the choice uses; a held-out fact has a seen answer."""
    table = toy.fact_table(language).copy()  # it is cached
    own = table["relation"].eq("capital")
    fact = table.loc[own & roles.tests(table), "fact"].iloc[0]
    (seen,) = table.loc[own & roles.selects(table), "objects"].iloc[0]
    at = table["fact"].eq(fact)
    table.loc[at, "answer_split"] = "mixed"
    table.loc[at, "objects"] = table.loc[at, "objects"].map(lambda own: [*own, seen])
    asked = demonstrations.with_demonstrations(table, shots=0, seed=0)
    return asked.assign(known=asked["fact"].str.len() % 2 == 0)


def chosen(table: pd.DataFrame, *, max_facts: int = 3, max_seen: int = 2) -> pd.DataFrame:
    return tested_prompts.tested_prompts(table, max_facts=max_facts, max_seen=max_seen, seed=0)


@pytest.mark.parametrize("language", toy.LANGUAGES)
def test_what_tests_selects_nothing(language: str) -> None:
    """Neither its template, nor its subject, nor, unless it is seen, one of its answers."""
    table = recalled(language)
    tested, selecting = chosen(table), table[roles.selects(table)]
    assert len(tested)
    for relation, rows in tested.groupby("relation"):
        mine = selecting[selecting["relation"] == relation]
        assert len(mine)
        assert not set(rows["template"]) & set(mine["template"])
        assert not set(rows["subject"]) & set(mine["subject"])
        unseen = {o for objects in rows.loc[~rows["seen"], "objects"] for o in objects}
        assert not unseen & {o for objects in mine["objects"] for o in objects}
    assert tested["seen"].any()
    answered = {o for objects in tested.loc[tested["seen"], "objects"] for o in objects}
    assert answered & {o for objects in selecting["objects"] for o in objects}  # positive control


def test_every_language_tests_the_same_facts_known_or_not() -> None:
    found = [chosen(recalled(code)) for code in toy.LANGUAGES]
    facts = [set(table["fact"]) for table in found]
    shared = set.intersection(*(set(recalled(code)["fact"]) for code in toy.LANGUAGES))
    for one in facts[1:]:
        assert one & shared == facts[0] & shared
    assert found[0]["known"].nunique() == 2


@pytest.mark.parametrize(("max_facts", "max_seen"), [(1, 0), (2, 1), (100, 100)])
def test_there_are_at_most_so_many_facts_of_a_relation(max_facts: int, max_seen: int) -> None:
    table = recalled("en")
    tested = chosen(table, max_facts=max_facts, max_seen=max_seen)
    for seen, most in ((False, max_facts), (True, max_seen)):
        sizes = tested[tested["seen"] == seen].groupby("relation")["fact"].nunique()
        assert sizes.le(most).all()
    every = table[roles.tests(table) & roles.testing_templates(table)]
    if max_facts == 100:
        assert set(tested.loc[~tested["seen"], "fact"]) == set(every["fact"])


def test_other_facts_do_not_change_the_order() -> None:
    """A fact that is left out makes room for the next one, and moves no other."""
    table = recalled("en")
    for fact in chosen(table)["fact"].unique():
        before, after = (set(chosen(t)["fact"]) for t in (table, table[table["fact"] != fact]))
        assert before - after == {fact}
        assert len(after - before) <= 1
    shuffled = table.sample(frac=1, random_state=0)
    assert set(chosen(shuffled)["fact"]) == set(chosen(table)["fact"])


def test_another_seed_tests_other_facts() -> None:
    table = recalled("en")
    other = tested_prompts.tested_prompts(table, max_facts=1, max_seen=0, seed=1)
    assert set(other["fact"]) != set(chosen(table, max_facts=1, max_seen=0)["fact"])


def test_a_fact_is_known_in_all_conditions_if_it_is_without_demonstrations() -> None:
    alone = recalled("en")
    shown = alone.assign(context="block_0", known=np.nan)
    every = all_conditions(alone, shown)
    known = every.groupby("context")["known"].apply(list)
    assert known["none"] == known["block_0"] == alone["known"].tolist()
    assert every["known"].dtype == bool
    assert len(all_conditions(alone, shown.iloc[:0])) == len(alone)
    tested = chosen(every)
    assert tested.groupby("fact")["context"].nunique().eq(2).all()
