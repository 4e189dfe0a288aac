"""The right held-out facts of a language, with the labels of their answers in all languages."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from neuron_atlas.facts import roles
from neuron_atlas.language_specific.texts import balanced
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import asked_for


def asked_facts(
    recalled: Mapping[str, pd.DataFrame], language: str, *, n: int, seed: int
) -> pd.DataFrame:
    """Choose facts of one language that are answered right without intervention.

    Args:
        recalled: Recall tables by language.
        language: Whose facts.
        n: How many at most, as many of each relation as there are.
        seed: Of the choice.

    Returns:
        Rows of the recall table that test neurons (`roles.tests`), with `labels`: first the right
        label that is asked for, then the answer's label in each other language where it is none of
        the right ones here, each once.
    """
    table = recalled[language]
    right = table[roles.tests(table) & table["correct"].astype(bool)]
    chosen = balanced(right, n, seed=seed)
    others = [
        dict(zip(other["fact"], other["answer"], strict=True))
        for code, other in recalled.items()
        if code != language
    ]
    labels = [_labels(row, others) for row in store.records(chosen)]
    return chosen.assign(labels=pd.Series(labels, index=chosen.index, dtype="object"))


def _labels(row: Mapping[str, Any], others: list[dict[str, str]]) -> list[str]:
    names = dict(zip(row["candidates"], row["candidate_labels"], strict=True))
    right = {names[thing] for thing in row["objects"]}
    elsewhere = (own[row["fact"]] for own in others if row["fact"] in own)
    foreign = dict.fromkeys(label for label in elsewhere if label not in right)
    return [row["candidate_labels"][asked_for(row)], *foreign]
