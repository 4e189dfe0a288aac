"""Demonstrations show no right answer where a relation allows it, and what cannot be is counted."""

from dataclasses import replace

import pandas as pd
import pytest

from neuron_atlas.facts import fact_table, roles
from neuron_atlas.wording import demonstrations

CITIES = ("oslo", "rome", "lima")
TEMPLATES = {"r": ("Of {subject}:", "{subject} has", "{subject} is in")}


def fact(subject: str, city: str, split: str) -> fact_table.Fact:
    """Return a fact whose answer is one of three cities."""
    one = fact_table.Fact(
        relation="r",
        subject=subject,
        subject_label=subject.upper(),
        objects=(city,),
        object_labels=(city.title(),),
        candidates=CITIES,
        candidate_labels=tuple(c.title() for c in CITIES),
        split="held_out",
        answer_split="mixed",
    )
    return replace(one, split=split)  # type: ignore[arg-type]


def table(shown: str) -> pd.DataFrame:
    """Return a table with one development fact per letter: o, r or l, the city's first."""
    city = {name[0]: name for name in CITIES}
    facts = [fact(f"d{i}", city[letter], "development") for i, letter in enumerate(shown)]
    facts += [
        fact(f"{half}{c}", c, half) for half in ("identification", "held_out") for c in CITIES
    ]
    return fact_table.build(facts, TEMPLATES, separator=" ")


def holds_answer(row: pd.Series) -> bool:
    before = row["prompt"].rpartition("\n")[0]
    return any(label in before for label in row["object_labels"])


@pytest.mark.parametrize("shots", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_demonstration_shows_a_right_answer_where_there_are_others(
    shots: int, seed: int
) -> None:
    facts = table("oorrll")
    for asked in (
        demonstrations.with_demonstrations(facts, shots=shots, seed=seed),
        demonstrations.in_blocks(facts, shots=shots, blocks=2, seed=seed),
    ):
        assert len(asked)
        assert not asked.apply(holds_answer, axis=1).any()
        assert not asked["answer_shown"].any()
        assert (asked["prompt"].str.count("\n") == shots).all()


def test_an_answer_that_cannot_be_avoided_is_shown_and_counted() -> None:
    asked = demonstrations.in_blocks(table("oo"), shots=2, blocks=1, seed=0)
    assert asked["answer_shown"].tolist() == asked.apply(holds_answer, axis=1).tolist()
    assert asked.loc[asked["answer_shown"], "answer"].tolist() == ["Oslo"]
    first = demonstrations.in_blocks(table("or"), shots=1, blocks=1, seed=0)
    assert not first["answer_shown"].any()  # one other is enough for one shot


def test_a_subject_that_is_a_right_answer_is_not_shown() -> None:
    facts = table("ll")
    named = facts["subject"] == "d0"
    facts.loc[named, "subject_label"] = "Rome"
    asked = demonstrations.in_blocks(facts, shots=1, blocks=1, seed=0)
    shown = dict(zip(asked["answer"], asked["demonstrations"], strict=True))
    assert shown["Rome"] == ("r:d1",)


def test_blocks_ask_held_out_facts_with_the_testing_template_after_different_facts() -> None:
    facts = table("llllllllll")
    asked = demonstrations.in_blocks(facts, shots=2, blocks=2, seed=0)
    assert set(asked["split"]) == {"held_out"}
    assert roles.testing_templates(asked).all()
    assert asked["context"].value_counts().to_dict() == {"block_0": 3, "block_1": 3}
    for _, rows in asked.groupby("fact"):
        assert not set(rows["demonstrations"].iloc[0]) & set(rows["demonstrations"].iloc[1])
    assert not asked["repeated"].any()
    for row in asked.itertuples():
        assert row.prompt[row.subject_start : row.subject_end] == row.subject_label


def test_too_few_facts_for_different_blocks_are_repeated_and_counted() -> None:
    asked = demonstrations.in_blocks(table("lll"), shots=2, blocks=2, seed=0)
    assert asked.loc[asked["context"] == "block_1", "repeated"].all()
    assert not asked.loc[asked["context"] == "block_0", "repeated"].any()


def test_prompts_with_the_same_demonstrations_are_neighbours() -> None:
    asked = demonstrations.in_blocks(table("orlorl"), shots=1, blocks=2, seed=0)
    key = asked["context"] + asked["demonstrations"].astype(str)
    assert (key != key.shift()).sum() == key.nunique()


def test_no_blocks_give_no_rows_with_the_same_columns() -> None:
    none = demonstrations.in_blocks(table("or"), shots=1, blocks=0, seed=0)
    some = demonstrations.in_blocks(table("or"), shots=1, blocks=1, seed=0)
    assert none.empty
    assert set(none.columns) == set(some.columns)


def test_without_shots_the_table_says_so() -> None:
    asked = demonstrations.with_demonstrations(table("or"), shots=0, seed=0)
    assert set(asked["context"]) == {"none"}
    assert not asked["answer_shown"].any()
