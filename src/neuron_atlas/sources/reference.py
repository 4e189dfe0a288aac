"""Facts of sources that align languages by a number, whose ids are the labels of one language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from neuron_atlas.files.text_files import Folder
from neuron_atlas.sources import derived
from neuron_atlas.sources.raw import COLUMNS, NEW_OBJECT, Raw

FIRST = "en"


@dataclass(frozen=True)
class Entry:
    """One fact in one language.

    Attributes:
        relation: Its relation.
        key: What tells it from the relation's other facts, the same in all languages.
        subject: The subject's label.
        object: The object's label.
        template: Its prompt as a template; None if there is no such.
        new: The label of what an edit shall say instead of the object; often empty.
    """

    relation: str
    key: str
    subject: str
    object: str
    template: str | None = None
    new: str = ""


def reference_of(languages: Iterable[str]) -> str:
    """Return the language whose labels are the ids: English, or else the first by code."""
    codes = sorted(languages)
    return FIRST if FIRST in codes else codes[0]


def files_by_language(folder: Folder, suffix: str) -> dict[str, str]:
    """Return the names of the files `<language><suffix>`, by language.

    Raises:
        ValueError: there is none, or two are of one language.
    """
    found: dict[str, str] = {}
    for name in (name for name in folder.names if name.endswith(suffix)):
        code = PurePosixPath(name).stem
        if code in found:
            raise ValueError(
                f"{folder.where(name)}: expected one file per language, got {found[code]} too; "
                "name the folder of one of them"
            )
        found[code] = name
    if not found:
        raise ValueError(f"{folder.path}: expected files <language>{suffix}, found none; check it")
    return found


def aligned(
    language: str,
    entries: Sequence[Entry],
    reference: Sequence[Entry],
    templates: Mapping[str, tuple[str, ...]],
    notices: Iterable[str] = (),
) -> Raw:
    """Return one language's facts, with the reference's labels as ids.

    A fact that the reference lacks has its own label and key as ids, so that it is no other's.

    Args:
        language: Its code.
        entries: Its facts.
        reference: Those of the reference language.
        templates: By relation; those of prompts are added.
        notices: What is to be said of the source.
    """
    named = {(one.relation, one.key): one for one in reference}
    rows: list[tuple[str, ...]] = []
    new: list[str] = []
    for one in entries:
        there = named.get((one.relation, one.key))
        ids = (there.subject, there.object) if there else (f"{one.subject} ({one.key})", one.object)
        rows.append((one.relation, ids[0], one.subject, ids[1], one.object))
        new.append((there or one).new)
    texts, _ = derived.most_frequent((one.relation, one.template) for one in entries)
    relations = sorted({*texts, *templates})
    joined = {
        r: tuple(dict.fromkeys((*templates.get(r, ()), *texts.get(r, ())))) for r in relations
    }
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
    if any(new):
        table[NEW_OBJECT] = pd.Series(new, table.index, dtype="str")
    return Raw(language, table, joined, tuple(notices))
