"""Find the triples that enough languages have, and count what is dropped for it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import pandas as pd

from neuron_atlas.fact_sets.cleaning import REASONS, REPEATED, count_reasons, drop_reasons, repeated
from neuron_atlas.fact_sets.reading import Reading

MOST_COMPARED = 100  # ids per language, for the message
SEPARATOR = "\x1f"  # in no id
DROPPED = (*REPEATED, "unaligned", *REASONS, "lost_elsewhere")


@dataclass(frozen=True)
class Aligned:
    """Clean triples of each language, and what became of the others.

    Attributes:
        tables: By language, the triples that at least the required number of languages has.
        read: By language, all triples as read: none of them, kept or dropped, may count as a wrong
            answer.
        n_aligned: By relation, the number of triples (ids) that enough languages have, before any
            is dropped for its labels.
        counts: By language and relation: `n_read`; `dropped`, a number for each of `DROPPED`; and
            `noted`, the triples that stay in spite of one of `REASONS`.
    """

    tables: Mapping[str, pd.DataFrame]
    read: Mapping[str, pd.DataFrame]
    n_aligned: Mapping[str, int]
    counts: Mapping[str, Mapping[str, Any]]


def align(
    tables: Mapping[str, pd.DataFrame],
    *,
    at_least: int,
    reading: Reading,
    most_tokens: int | None,
    allowed: Collection[str] = (),
) -> Aligned:
    """Keep the triples that `at_least` languages have, and have in a form that can be asked.

    Triples are the same if their ids are. First those stay that enough languages have, whatever
    their labels; of these, those that can be asked (`cleaning.REASONS`) in enough languages. A
    triple that is unfit in one language is dropped there, and in the others only if too few
    languages are left.

    Args:
        tables: By language, triples as read: `raw.COLUMNS`.
        at_least: Fewest languages per triple, in [1, number of languages].
        reading: What the tokenizer makes of labels.
        most_tokens: Most tokens per answer; None allows any number.
        allowed: Reasons for which a triple is counted, but not dropped.

    Raises:
        ValueError: `at_least` is out of range.
    """
    if not 1 <= at_least <= len(tables):
        raise ValueError(
            f"facts.min_languages must be in [1, {len(tables)}], the number of languages, or all; "
            f"got {at_least}"
        )
    state = {code: table.assign(reason=repeated(table)) for code, table in tables.items()}
    n_aligned = _mark(state, at_least, "unaligned")
    for table in state.values():
        open_rows = table["reason"] == ""
        reasons = drop_reasons(table[open_rows], reading, most_tokens, allowed)
        table.loc[open_rows, "reason"] = reasons.dropped
        table["noted"] = reasons.noted.reindex(table.index, fill_value="")
    _mark(state, at_least, "lost_elsewhere")
    return Aligned(
        tables={code: _kept(table) for code, table in state.items()},
        read=tables,
        n_aligned=n_aligned,
        counts={code: _counts(table) for code, table in state.items()},
    )


def require_shared(aligned: Aligned, at_least: int) -> None:
    """Require ids that tell a fact of one language to be one of another.

    Raises:
        ValueError: no fact is in enough languages, though all have some; the message shows two ids
            that are alike.
    """
    one, two = list(aligned.read)[:2] if len(aligned.read) > 1 else ("", "")
    enough = all(len(table) for table in aligned.read.values())
    if aligned.n_aligned or at_least < 2 or not enough:
        return
    subjects, objects = (
        {code: sorted(set(aligned.read[code][thing])) for code in (one, two)}
        for thing in ("subject", "object")
    )
    ids = objects if set(subjects[one]) & set(subjects[two]) else subjects
    pair = max(
        ((a, b) for a in ids[one][:MOST_COMPARED] for b in ids[two][:MOST_COMPARED]),
        key=lambda names: (SequenceMatcher(None, *names).ratio(), names),
    )
    raise ValueError(
        f"no fact is in {at_least} languages: no relation, subject and object have the same ids, "
        f"though {pair[0]!r} in {one!r} is like {pair[1]!r} in {two!r}; ids must be the same in "
        "every language, names go into subject_label and object_label; or lower facts.min_languages"
    )


def _keys(table: pd.DataFrame) -> pd.Series:
    """Return one text per triple, by which languages are joined."""
    return table["relation"] + SEPARATOR + table["subject"] + SEPARATOR + table["object"]


def _mark(state: Mapping[str, pd.DataFrame], at_least: int, reason: str) -> dict[str, int]:
    """Drop, for `reason`, triples that too few languages still have; count the rest by relation."""
    keys = {code: _keys(table[table["reason"] == ""]) for code, table in state.items()}
    count = pd.concat(list(keys.values())).value_counts()
    enough = count.index[count >= at_least]
    for code, table in state.items():
        few = keys[code].index[~keys[code].isin(enough)]
        table.loc[few, "reason"] = reason
    relation = pd.Series(enough, dtype="str").str.split(SEPARATOR, n=1).str[0]
    return {str(name): int(n) for name, n in relation.value_counts().sort_index().items()}


def _kept(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["reason"] == ""].drop(columns=["reason", "noted"]).reset_index(drop=True)


def _counts(table: pd.DataFrame) -> dict[str, Any]:
    dropped = count_reasons(table["reason"], table["relation"], DROPPED)
    kept = table[table["reason"] == ""]
    noted = count_reasons(kept["noted"], kept["relation"], REASONS)
    read = table["relation"].value_counts()
    return {
        name: {"n_read": int(read[name]), "dropped": row, "noted": noted.get(name, {})}
        for name, row in dropped.items()
    }
