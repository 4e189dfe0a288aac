"""Fact sets: one table a language, one row a (fact, paraphrase), checked on the way in and out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from neuron_atlas import store
from neuron_atlas.splits import SPLITS, Split

COLUMNS = (
    "fact", "relation", "subject", "subject_label", "objects", "object_labels", "answer",
    "template", "prompt", "separator", "subject_start", "subject_end", "candidates",
    "candidate_labels", "split",
)  # fmt: skip
SLOT = "{subject}"
OPENING = tuple("+.«„“‘「『（([\"'")  # an answer follows these without a space


@dataclass(frozen=True)
class Fact:
    """A subject, a relation and all correct objects, canonical first, named in one language.

    `candidates` are the ids of the relation's possible answers; every object is one of them.
    """

    relation: str
    subject: str
    subject_label: str
    objects: tuple[str, ...]
    object_labels: tuple[str, ...]
    candidates: tuple[str, ...]
    candidate_labels: tuple[str, ...]
    split: Split

    @property
    def id(self) -> str:
        """Name the fact, in the same way in every language."""
        return f"{self.relation}:{self.subject}"


def build(
    facts: Iterable[Fact], templates: Mapping[str, Sequence[str]], *, separator: str
) -> pd.DataFrame:
    """Write each fact in each paraphrase of its relation.

    Args:
        facts: Facts of one language.
        templates: By relation, prompts with one `{subject}`, which end where the answer begins.
        separator: What the language puts between prompt and answer; nothing is put after an
            opening mark such as "+" or "«".

    Raises:
        ValueError: a relation has no templates, or the table is not valid.
    """
    facts = list(facts)
    missing = sorted({f.relation for f in facts} - set(templates))
    if missing:
        raise ValueError(f"no templates for the relations {missing}; there are {sorted(templates)}")
    rows = [
        _row(fact, number, template, separator)
        for fact in facts
        for number, template in enumerate(templates[fact.relation])
    ]
    return validate(pd.DataFrame(rows, columns=list(COLUMNS)), "the built table")


def _row(fact: Fact, number: int, template: str, separator: str) -> dict[str, object]:
    start = template.index(SLOT)
    return {
        "fact": fact.id,
        "relation": fact.relation,
        "subject": fact.subject,
        "subject_label": fact.subject_label,
        "objects": list(fact.objects),
        "object_labels": list(fact.object_labels),
        "answer": fact.object_labels[0],
        "template": number,
        "prompt": template.replace(SLOT, fact.subject_label),
        "separator": "" if template.endswith(OPENING) else separator,
        "subject_start": start,
        "subject_end": start + len(fact.subject_label),
        "candidates": list(fact.candidates),
        "candidate_labels": list(fact.candidate_labels),
        "split": fact.split,
    }


def validate(table: pd.DataFrame, where: str | Path) -> pd.DataFrame:
    """Return a fact table unchanged if it is one.

    Raises:
        ValueError: the table breaks a rule; the message names `where`, the rule and the first fact
            that breaks it.
    """
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise ValueError(f"{where} lacks the columns {missing}; it has {sorted(table.columns)}")
    if table.empty:
        raise ValueError(f"{where} has no facts")
    repeated = table.duplicated(["fact", "template"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise ValueError(f"{where}: fact {row['fact']!r}, template {row['template']} comes twice")
    for record in cast(list[dict[str, Any]], table.to_dict("records")):
        problem = _problem(record)
        if problem:
            raise ValueError(
                f"{where}: fact {record['fact']!r}, template {record['template']}: {problem}"
            )
    return table


def read(path: Path) -> pd.DataFrame:
    """Read a fact table.

    Raises:
        ValueError: the file is missing or is not a valid fact table.
    """
    table = store.read_table(path)
    for column in ("objects", "object_labels", "candidates", "candidate_labels"):
        if column in table.columns:
            table[column] = [list(values) for values in table[column]]
    return validate(table, path)


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a fact table; the same table always gives the same bytes.

    Raises:
        ValueError: the table is not valid.
    """
    store.write_table(path, validate(table, path)[list(COLUMNS)])


def _problem(row: Mapping[str, Any]) -> str | None:
    """Return the first rule that a row breaks, in words."""
    return next((found for rule in (_texts, _span, _answers) if (found := rule(row))), None)


def _texts(row: Mapping[str, Any]) -> str | None:
    for column in ("fact", "relation", "subject", "subject_label", "answer", "prompt"):
        if not isinstance(row[column], str) or not row[column].strip():
            return f"{column} must be text, got {row[column]!r}"
    if row["prompt"] != row["prompt"].rstrip():
        return f"the prompt must end where the answer begins, without a space: {row['prompt']!r}"
    if row["separator"] not in ("", " "):
        return f"separator must be '' or ' ', got {row['separator']!r}"
    if row["split"] not in SPLITS:
        return f"split must be one of {SPLITS}, got {row['split']!r}"
    return None


def _span(row: Mapping[str, Any]) -> str | None:
    span = row["prompt"][row["subject_start"] : row["subject_end"]]
    if span == row["subject_label"]:
        return None
    where = f"[{row['subject_start']}, {row['subject_end']})"
    return f"expected the subject {row['subject_label']!r} at {where} of the prompt, got {span!r}"


def _answers(row: Mapping[str, Any]) -> str | None:
    for ids, labels in (("objects", "object_labels"), ("candidates", "candidate_labels")):
        if len(row[ids]) != len(row[labels]):
            return f"{ids} and {labels} must align, got {len(row[ids])} and {len(row[labels])}"
    if row["object_labels"][:1] != [row["answer"]]:
        return f"the answer must be the first of {row['object_labels']}, got {row['answer']!r}"
    named = dict(zip(row["candidates"], row["candidate_labels"], strict=True))
    absent = [
        i for i, t in zip(row["objects"], row["object_labels"], strict=True) if named.get(i) != t
    ]
    if absent:
        return f"the correct answers {absent} are not among the candidates, or not so named"
    shared = [label for label, n in Counter(row["candidate_labels"]).items() if n > 1]
    return f"several candidates are called {shared[0]!r}; merge or drop them" if shared else None
