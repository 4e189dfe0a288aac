"""Read PopQA, questions in English about entities of known popularity: one TSV file."""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from neuron_atlas.files import delimited, text_files
from neuron_atlas.files.delimited import Row
from neuron_atlas.files.json_values import filled, shown
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.own import collect
from neuron_atlas.sources.raw import POPULARITY, Origin, Raw

ORIGIN = Origin(
    name="PopQA",
    version="",
    licence="MIT",
    reference="Mallen et al. (2023), When Not to Trust Language Models, ACL",
)
LANGUAGES = ("en",)
COLUMNS = ("subj", "prop", "obj", "subj_id", "obj_id", "question")


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read PopQA (Mallen et al. 2023).

    Args:
        path: Its TSV file.
        language: Only "en".
        relations: Names of `prop`, with `_` for spaces; None reads all.

    Returns:
        One row per question and one per alias of its object (`o_aliases`), which is right too; the
        questions without their subjects are the templates. `s_pop`, the monthly views of the
        subject's page, is its popularity.

    Raises:
        ValueError: the file is not there, or a line is malformed.
    """
    known_language(language, LANGUAGES, str(path))
    with closing(_rows(path)) as rows:
        return collect(rows, source=str(path), language=language, relations=relations)


def origin(path: Path) -> Origin:
    """Return PopQA's origin, with the file's digest."""
    return replace(ORIGIN, files={path.name: text_files.sha256(path)})


def _rows(path: Path) -> Generator[Row, None, None]:
    if not path.is_file():
        raise ValueError(f"{path}: expected PopQA's .tsv file, found none; check the path")
    with text_files.Folder(path.parent, (path.name,)).open(path.name) as stream:
        for where, row in delimited.rows(stream, str(path), required=COLUMNS, delimiter="\t"):
            yield (
                where,
                {
                    "relation": re.sub(r"\W+", "_", filled(row, "prop", where).strip()),
                    "language": "en",
                    "subject": _numbered(row, "subj_id", where),
                    "subject_label": row["subj"],
                    "object": _numbered(row, "obj_id", where),
                    "object_label": row["obj"],
                    "prompt": row["question"],
                    "aliases": row.get("o_aliases"),
                    POPULARITY: row.get("s_pop"),
                },
            )


def _numbered(row: Mapping[str, object], key: str, where: str) -> str:
    """Return the number of an entity.

    Raises:
        ValueError: it is none.
    """
    value = filled(row, key, where).strip()
    if not value.isdecimal():
        raise ValueError(f"{where}: expected a whole number in {key!r}, got {shown(value)}")
    return value
