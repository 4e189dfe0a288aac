"""What a reader returns of a fact source: labelled triples and templates, nothing left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

COLUMNS = ("relation", "subject", "subject_label", "object", "object_label")
NEW_OBJECT = "new_object"  # id of what an edit shall say instead; empty where it is not known
POPULARITY = "popularity"  # of the subject, such as page views; NaN where it is not known


@dataclass(frozen=True)
class Raw:
    """One language of a source.

    Attributes:
        language: Its code.
        table: One row per (relation, subject, object) triple, in the source's order: `COLUMNS`,
            all text; and where the source has them `POPULARITY`, numbers, and `NEW_OBJECT`. Ids are
            the same in every language; labels may be empty.
        templates: By relation, texts with `{subject}` and `{object}`, as the source has them: also
            those where one is missing or doubled.
        checked: Those templates that a source says a human has checked; they come first.
        notices: What a user should know of how the source was read, in sentences.
    """

    language: str
    table: pd.DataFrame
    templates: Mapping[str, tuple[str, ...]]
    notices: tuple[str, ...] = ()
    checked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Where facts come from, for the data card.

    Attributes:
        name: The source's name.
        version: Its version or revision.
        licence: Of its data.
        reference: What to cite, or where to find it.
        files: File name to SHA-256, of each file read.
    """

    name: str
    version: str
    licence: str
    reference: str
    files: Mapping[str, str] = field(default_factory=dict)


def relations_to_read(
    relations: Sequence[str] | None, known: Sequence[str], where: str
) -> list[str]:
    """Return `relations`, or all known ones, sorted, for None.

    Raises:
        ValueError: the source has no relation of some name, or a name comes twice.
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
