"""Fact tables: one per language, one row per (fact, paraphrase), checked when read and written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.facts import spacing
from neuron_atlas.facts.answer_sides import ANSWER_SPLITS, SIDES, AnswerSplit
from neuron_atlas.facts.roles import TEMPLATE_ROLES, template_role
from neuron_atlas.facts.splits import SPLITS, Split
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.slots import OBJECT

COLUMNS = (
    "fact", "relation", "subject", "subject_label", "objects", "object_labels", "answer",
    "template", "prompt", "separator", "subject_start", "subject_end", "candidates",
    "candidate_labels", "split", "answer_split", "template_role",
)  # fmt: skip
CHOICES = {"split": SPLITS, "answer_split": ANSWER_SPLITS, "template_role": TEMPLATE_ROLES}
LISTS = ("objects", "object_labels", "candidates", "candidate_labels")


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
    answer_split: AnswerSplit

    @property
    def id(self) -> str:
        """The fact's name, the same in every language."""
        return f"{self.relation}:{self.subject}"


def build(
    facts: Iterable[Fact], templates: Mapping[str, Sequence[str]], *, separator: str
) -> pd.DataFrame:
    """Return the fact table: each fact in each paraphrase of its relation.

    Args:
        facts: Facts of one language.
        templates: By relation, prompts with one `{subject}`. The answer stands where `{object}`
            does, or follows the prompt.
        separator: What the language puts between prompt and answer if there is no `{object}`;
            `spacing.ask` says where nothing is put.

    Returns:
        One row per (fact, paraphrase), with `COLUMNS`. `subject_start` and `subject_end` are
        character positions in `prompt`, the end exclusive; `template` counts from 0.

    Raises:
        ValueError: a relation has no templates, or the table is not valid.
    """
    facts = list(facts)
    missing = sorted({f.relation for f in facts} - set(templates))
    if missing:
        raise ValueError(f"no templates for the relations {missing}; there are {sorted(templates)}")
    rows = [
        _row(fact, number, templates[fact.relation], separator)
        for fact in facts
        for number in range(len(templates[fact.relation]))
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in LISTS:
        table[column] = _listed(table[column])
    return validate(table, "the built table")


def _listed(values: pd.Series) -> list[list[str]]:
    """Return tuples as lists, one list per distinct object: rows share their candidates."""
    known: dict[int, list[str]] = {}
    return [known.setdefault(id(value), list(value)) for value in values]


def _row(fact: Fact, number: int, templates: Sequence[str], separator: str) -> dict[str, object]:
    template = templates[number]
    asked = spacing.ask(template, fact.subject_label, fact.candidate_labels, separator)
    return {
        "fact": fact.id,
        "relation": fact.relation,
        "subject": fact.subject,
        "subject_label": fact.subject_label,
        "objects": fact.objects,
        "object_labels": fact.object_labels,
        "answer": fact.object_labels[0],
        "template": number,
        "prompt": asked.prompt,
        "separator": asked.gap,
        "subject_start": asked.start,
        "subject_end": asked.start + len(fact.subject_label),
        "candidates": fact.candidates,
        "candidate_labels": fact.candidate_labels,
        "split": fact.split,
        "answer_split": fact.answer_split,
        "template_role": template_role(number, len(templates)),
    }


def solved(prompts: pd.Series, separators: pd.Series, answers: pd.Series) -> list[str]:
    """Return prompts with their answers filled in."""
    return [
        prompt.replace(OBJECT, gap + answer) if OBJECT in prompt else prompt + gap + answer
        for prompt, gap, answer in zip(prompts, separators, answers, strict=True)
    ]


def validate(table: pd.DataFrame, where: str | Path) -> pd.DataFrame:
    """Return `table` unchanged if it is a valid fact table.

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
    names = _Names()
    columns = [table[name].tolist() for name in COLUMNS]
    for values in zip(*columns, strict=True):
        record = dict(zip(COLUMNS, values, strict=True))
        problem = _texts(record) or _span(record) or _answers(record, names)
        if problem:
            raise ValueError(
                f"{where}: fact {record['fact']!r}, template {record['template']}: {problem}"
            )
    _require_sides(table, where)
    return table


def _require_sides(table: pd.DataFrame, where: str | Path) -> None:
    """Require the facts of the two sides to share no answer of their relation.

    Raises:
        ValueError: they do; the message names the relation and the answers.
    """
    for relation, rows in table.drop_duplicates("fact").groupby("relation", sort=False):
        one, two = (
            {
                thing
                for things in rows.loc[rows["answer_split"] == side, "objects"]
                for thing in things
            }
            for side in SIDES
        )
        if one & two:
            raise ValueError(
                f"{where}: relation {relation!r}: answers of one side must not be of the other, "
                f"but {sorted(one & two)} are of facts with answer_split of either"
            )


def read_facts(path: Path) -> pd.DataFrame:
    """Read a fact table.

    Raises:
        ValueError: the file is missing or is not a valid fact table.
    """
    table = store.read_table(path)
    for column in LISTS:
        if column in table.columns:
            table[column] = [list(values) for values in table[column]]
    return validate(table, path)


def write_facts(path: Path, table: pd.DataFrame) -> None:
    """Write a fact table; the same table always gives the same bytes.

    Raises:
        ValueError: the table is not valid.
    """
    store.write_table(path, validate(table, path)[list(COLUMNS)])


def _texts(row: Mapping[str, Any]) -> str | None:
    for column in ("fact", "relation", "subject", "subject_label", "answer", "prompt"):
        if not isinstance(row[column], str) or not row[column].strip():
            return f"{column} must be text, got {row[column]!r}"
    before, *after = row["prompt"].split(OBJECT)
    if before != before.rstrip():
        return f"the prompt must end where the answer begins, without a space: {row['prompt']!r}"
    if len(after) > 1:
        return f"the answer must have one place in the prompt, got {row['prompt']!r}"
    if row["separator"] not in ("", " "):
        return f"separator must be '' or ' ', got {row['separator']!r}"
    for column, known in CHOICES.items():
        if row[column] not in known:
            return f"{column} must be one of {known}, got {row[column]!r}"
    return None


def _span(row: Mapping[str, Any]) -> str | None:
    span = row["prompt"][row["subject_start"] : row["subject_end"]]
    if span == row["subject_label"]:
        return None
    where = f"[{row['subject_start']}, {row['subject_end']})"
    return f"expected the subject {row['subject_label']!r} at {where} of the prompt, got {span!r}"


class _Names:
    """The labels of candidates, looked up once for rows that share their lists."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[dict[str, str], str | None]] = {}

    def of(self, row: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
        """Return the labels by id, and a label that several ids share, or None."""
        ids, labels = row["candidates"], row["candidate_labels"]
        key = (id(ids), id(labels))  # the table keeps both lists alive meanwhile
        if key not in self._known:
            shared = next((text for text, n in Counter(labels).items() if n > 1), None)
            self._known[key] = dict(zip(ids, labels, strict=True)), shared
        return self._known[key]


def _answers(row: Mapping[str, Any], names: _Names) -> str | None:
    for ids, labels in (("objects", "object_labels"), ("candidates", "candidate_labels")):
        if len(row[ids]) != len(row[labels]):
            return f"{ids} and {labels} must align, got {len(row[ids])} and {len(row[labels])}"
    if row["object_labels"][:1] != [row["answer"]]:
        return f"the answer must be the first of {row['object_labels']}, got {row['answer']!r}"
    named, shared = names.of(row)
    absent = [
        i for i, t in zip(row["objects"], row["object_labels"], strict=True) if named.get(i) != t
    ]
    if absent:
        return f"the correct answers {absent} are not among the candidates, or not so named"
    return f"several candidates are called {shared!r}; merge or drop them" if shared else None
