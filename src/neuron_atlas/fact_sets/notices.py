"""What a user should know of the facts of one language, in sentences for console and card."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.wording.prompts import Prompts

# Why a relation may have no facts left, and what brings it back; the first that holds is named.
_SUSPICIOUS = ("conflict", "unknown_token", "same_tokens")


def of_facts(
    counts: Mapping[str, Mapping[str, Any]], asked: Prompts, table: pd.DataFrame, facts: Facts
) -> Iterator[str]:
    """Yield what to say of one language: relations that are missing, labels, and gaps.

    Args:
        counts: By relation, as the report has them.
        asked: The templates that were chosen.
        table: The language's facts.
        facts: What was asked for.
    """
    for relation in facts.relations or ():
        why = _missing(counts.get(relation), facts)
        if why:
            yield f"relation {relation} is missing: {why}"
    for reason in _SUSPICIOUS:
        n = sum(row.get("dropped", {}).get(reason, 0) for row in counts.values())
        if n:
            yield f"{n} facts are left out as {reason}; data/raw/README.md says what that is"
    closed = _closed_gaps(asked, table)
    if closed:
        yield (
            f"the space before the answer is left out in {closed} templates, since the language "
            "writes none there"
        )


def _missing(row: Mapping[str, Any] | None, facts: Facts) -> str:
    """Return why a relation has no facts, and the parameter that brings it back; "" if it has."""
    if row is None:
        return "the source has no such facts in this language; lower facts.min_languages"
    if row["n_facts"]:
        return ""
    if row.get("n_without_template"):
        return (
            f"{row['n_without_template']} facts, but none of {row['templates']['n_given']} "
            "templates fits the model; add some by facts.templates, or set facts.stand_in: true"
        )
    if row.get("n_too_few"):
        return (
            f"{row['n_too_few']} facts are left, fewer than facts.min_per_relation "
            f"{facts.min_per_relation} or too few to show; lower it or facts.min_languages"
        )
    dropped = {name: n for name, n in row["dropped"].items() if n}
    most = max(dropped, key=dropped.__getitem__, default="none")
    return (
        f"of {row['n_read']} facts read none is left, most of them dropped as {most}; lower "
        "facts.min_languages, or see facts.allow"
    )


def _closed_gaps(asked: Prompts, table: pd.DataFrame) -> int:
    """Count templates with a space before `{object}` that a fact is asked without."""
    first = table.drop_duplicates(["relation", "template"])
    rows = zip(first["relation"], first["template"], first["separator"], strict=True)
    return sum(" {object}" in asked.texts[r][n] and not gap for r, n, gap in rows)
