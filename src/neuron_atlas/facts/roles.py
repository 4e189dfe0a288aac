"""Which prompts find neurons and which test them, by subject, answers and template."""

from typing import Literal, get_args

import pandas as pd

TemplateRole = Literal["select", "test", "both"]
HALVES = ["split", "answer_split"]  # of the subject, and of the answers
TEMPLATE_ROLES: tuple[TemplateRole, ...] = get_args(TemplateRole)


def template_role(number: int, n: int) -> TemplateRole:
    """Return the role of a relation's template: the last of `n` tests, a single one does both."""
    if n == 1:
        return "both"
    return "test" if number == n - 1 else "select"


def halves(table: pd.DataFrame) -> pd.DataFrame:
    """Return of each fact of a table, once, in which `HALVES` its subject and its answers are."""
    return table.drop_duplicates("fact")[["fact", *HALVES]].reset_index(drop=True)


def with_halves(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Add `HALVES` to a table of prompts, which keeps its rows and their order.

    Args:
        table: One row per prompt, with `fact`.
        known: As `halves` returns it.

    Raises:
        ValueError: a fact of the table is not among the known ones.
    """
    if missing := sorted(set(table["fact"]) - set(known["fact"])):
        raise ValueError(
            f"{len(missing)} facts are in no half, such as {missing[0]!r}: the table is of other "
            "facts than the halves; repeat the stage that made it"
        )
    return table.merge(known, on="fact", how="left", validate="many_to_one")


def selecting_templates(table: pd.DataFrame) -> pd.Series:
    """Say per row whether its template finds neurons; whichever facts it asks for."""
    return table["template_role"] != "test"


def testing_templates(table: pd.DataFrame) -> pd.Series:
    """Say per row whether its template tests neurons; whichever facts it asks for."""
    return table["template_role"] != "select"


def selects(table: pd.DataFrame) -> pd.Series:
    """Say per row whether it finds neurons: subject, answers and template are for that.

    Args:
        table: One row per prompt, with `split`, `answer_split` and `template_role`.

    Returns:
        No selected row shares its subject, or an answer of its relation, with one that `tests`;
        nor its template, unless the relation has a single one.
    """
    return _both(table, "identification") & selecting_templates(table)


def tests(table: pd.DataFrame) -> pd.Series:
    """Say per row whether it tests neurons: held-out subject and answers, the testing template."""
    return _both(table, "held_out") & testing_templates(table)


def seen(table: pd.DataFrame) -> pd.Series:
    """Say per row whether its subject is held out but not all its answers are.

    Facts that find neurons may have one of its answers: it is reported apart and carries no
    verdict.
    """
    return (table["split"] == "held_out") & (table["answer_split"] != "held_out")


def _both(table: pd.DataFrame, half: str) -> pd.Series:
    return (table["split"] == half) & (table["answer_split"] == half)
