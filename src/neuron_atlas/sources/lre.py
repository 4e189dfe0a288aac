"""Read LRE, facts in English: one JSON file per relation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from neuron_atlas.files.json_values import filled, listed, mapping, parsed, relation_name, shown
from neuron_atlas.files.text_files import Folder, opened
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.raw import COLUMNS, Origin, Raw, relations_to_read

ORIGIN = Origin(
    name="LRE",
    version="ICLR 2024",
    licence="MIT",
    reference=(
        "Hernandez et al. (2024), Linearity of Relation Decoding in Transformer Language Models, "
        "ICLR"
    ),
)
LANGUAGES = ("en",)
MAX_BYTES = 2**26  # of one file


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read the relations of Hernandez et al. (2024).

    Args:
        path: A folder or a zip archive with `<relation>.json` at any depth.
        language: Only "en".
        relations: Those to read, in this order; None reads all.

    Returns:
        One row per sample and object. The files have no ids: a label, stripped of white space, is
        its own id. Templates are those for prompts with examples, then those for prompts without,
        each once; the object follows after a space.

    Raises:
        ValueError: `path` has no such file or lacks a relation, or a file is malformed.
    """
    known_language(language, LANGUAGES, str(path))
    rows, templates = [], {}
    with opened(path) as folder:
        files = _files(folder)
        for relation in relations_to_read(relations, sorted(files), str(path)):
            where = folder.where(files[relation])
            record = mapping(parsed(folder.text(files[relation], MAX_BYTES), where), where)
            templates[relation] = _templates(record, where)
            rows += [(relation, s, s, answer, answer) for s, answer in _pairs(record, where)]
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
    return Raw(language, table, templates)


def origin(path: Path) -> Origin:
    """Return LRE's origin, with digests of the archive or of each file."""
    with opened(path) as folder:
        return replace(ORIGIN, files=folder.sha256(sorted(_files(folder).values())))


def _files(folder: Folder) -> dict[str, str]:
    files: dict[str, str] = {}
    for name in (name for name in folder.names if name.endswith(".json")):
        relation = relation_name(PurePosixPath(name).stem, folder.where(name))
        if relation in files:
            raise ValueError(
                f"{folder.where(name)}: expected one file per relation, got "
                f"{shown(files[relation])} too; remove one"
            )
        files[relation] = name
    if not files:
        raise ValueError(f"{folder.path}: expected files <relation>.json, found none; check it")
    return files


def _templates(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    values = listed(record, "prompt_templates", where)
    if "prompt_templates_zs" in record:
        values = values + listed(record, "prompt_templates_zs", where)
    return tuple(dict.fromkeys(_template(value, where) for value in values))


def _template(value: object, where: str) -> str:
    prompt = filled({"template": value}, "template", where).rstrip()
    if set(prompt.replace("{}", "")) & set("{}"):
        raise ValueError(
            f"{where}: expected {{}} and no other brace, got {shown(value)}; correct it"
        )
    return f"{prompt.replace('{}', SUBJECT)} {OBJECT}"


def _pairs(record: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for number, value in enumerate(listed(record, "samples", where), start=1):
        here = f"{where}, sample {number}"
        sample = mapping(value, here)
        subject = filled(sample, "subject", here).strip()
        yield from ((subject, answer) for answer in _answers(sample, here))


def _answers(sample: Mapping[str, Any], where: str) -> list[str]:
    if not isinstance(sample.get("object"), list):
        return [filled(sample, "object", where).strip()]
    values = listed(sample, "object", where)
    return [filled({"object": value}, "object", where).strip() for value in values]
