"""What a fact source says, before anything of it is judged: labelled triples and templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

COLUMNS = ("relation", "subject", "subject_label", "object", "object_label")


@dataclass(frozen=True)
class Raw:
    """One language of a source.

    Attributes:
        language: Its code.
        table: One row a (relation, subject, object) triple, in the source's order: `COLUMNS`, all
            text. Ids are the same in every language; labels may be empty.
        templates: By relation, texts with `{subject}` and `{object}`, as the source has them:
            nothing is left out for a slot that is missing or doubled.
    """

    language: str
    table: pd.DataFrame
    templates: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Origin:
    """Where facts come from, for the data card.

    Attributes:
        name: What the source is called.
        version: Its version, or a revision.
        licence: Under which its data may be used.
        reference: Whom to cite, or where to find it.
        files: SHA-256 by the name of each file read.
    """

    name: str
    version: str
    licence: str
    reference: str
    files: Mapping[str, str] = field(default_factory=dict)


def chosen(relations: Sequence[str] | None, known: Sequence[str], where: str) -> list[str]:
    """Return the relations to read: those asked for, or all.

    Raises:
        ValueError: the source has none of a name, or a name comes twice.
    """
    if relations is None:
        return sorted(known)
    unknown = [name for name in relations if name not in set(known)]
    if unknown or len(set(relations)) < len(relations):
        raise ValueError(
            f"facts.relations must be different relations of {where}, got {list(relations)}; "
            f"unknown: {unknown}; there are {sorted(known)}"
        )
    return list(relations)
