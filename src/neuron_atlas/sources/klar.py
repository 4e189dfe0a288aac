"""Read KLAR, facts in 17 languages: one JSON file per language and relation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from neuron_atlas.files.json_values import filled, listed, mapping, parsed, relation_name, shown
from neuron_atlas.files.text_files import Folder, opened
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.raw import Origin, Raw, relations_to_read
from neuron_atlas.sources.reference import Entry, aligned, reference_of

ORIGIN = Origin(
    name="KLAR",
    version="",
    licence="see the source's page",
    reference="Wang et al. (2025), Lost in Multilinguality, ACL",
)
MAX_BYTES = 2**26  # of one file
_SAMPLE = ("index", "subject", "object")
_RECORD = ("prompt_templates", "samples")


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of KLAR.

    Args:
        path: A folder or an archive with `<language>/<relation>.json`.
        language: The name of one of its folders.
        relations: Those to read; None reads all. A relation that only other languages have gives
            no rows.

    Returns:
        The samples, aligned by `index`: the labels of the reference language (English if it is
        there) are the ids. `<subject>` and `<mask>` of templates become placeholders.

    Raises:
        ValueError: `path` has no such files, lacks the language or a relation, or a file is
            malformed.
    """
    with opened(path) as folder:
        files = _files(folder)
        known_language(language, list(files), str(path))
        known = {name for names in files.values() for name in names}
        names = relations_to_read(relations, sorted(known), str(path))
        here = _records(folder, files[language], names)
        entries = _entries(folder, files[language], here)
        first, there = reference_of(files), entries
        if first != language:
            there = _entries(folder, files[first], _records(folder, files[first], names))
        texts = {
            name: _templates(record, folder.where(files[language][name]))
            for name, record in here.items()
        }
        strange = {key for one in here.values() for key in one} - {*_RECORD, "relation_name"}
        samples = (sample for one in here.values() for sample in one["samples"])
        strange |= {key for sample in samples for key in sample} - {*_SAMPLE}
        said = (f"keys that are not read: {shown(sorted(strange))}",) if strange else ()
        return aligned(language, entries, there, texts, said)


def origin(path: Path, languages: Iterable[str] | None = None) -> Origin:
    """Return KLAR's origin, with digests of the archive or of the files of some languages."""
    with opened(path) as folder:
        files = _files(folder)
        codes = {reference_of(files), *(files if languages is None else languages)}
        names = [name for code in sorted(codes) for name in files.get(code, {}).values()]
        return replace(ORIGIN, files=folder.sha256(names))


def _files(folder: Folder) -> dict[str, dict[str, str]]:
    """Return file names by language and relation."""
    found: dict[str, dict[str, str]] = {}
    for name in folder.names:
        place = PurePosixPath(name)
        if place.suffix == ".json" and len(place.parts) > 1:
            relation = relation_name(place.stem, folder.where(name))
            language = found.setdefault(place.parent.name, {})
            if relation in language:
                raise ValueError(
                    f"{folder.where(name)}: expected one file per language and relation, got "
                    f"{shown(language[relation])} too; remove one"
                )
            language[relation] = name
    if not found:
        raise ValueError(
            f"{folder.path}: expected files <language>/<relation>.json, found none; check it"
        )
    return found


def _records(
    folder: Folder, files: Mapping[str, str], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name in names:
        if name in files:
            where = folder.where(files[name])
            found[name] = mapping(parsed(folder.text(files[name], MAX_BYTES), where), where)
    return found


def _templates(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    texts = []
    for value in listed(record, "prompt_templates", where):
        text = filled({"template": value}, "template", where)
        if "{" in text or "}" in text:
            raise ValueError(f"{where}: expected no brace, got {shown(text)}; remove it")
        texts.append(text.replace("<subject>", SUBJECT).replace("<mask>", OBJECT))
    return tuple(dict.fromkeys(texts))


def _entries(
    folder: Folder, files: Mapping[str, str], records: Mapping[str, Mapping[str, Any]]
) -> list[Entry]:
    found = []
    for relation, record in records.items():
        where = folder.where(files[relation])
        for number, value in enumerate(listed(record, "samples", where), start=1):
            here = f"{where}, sample {number}"
            sample = mapping(value, here)
            index = sample.get("index")
            if isinstance(index, bool) or not isinstance(index, int | str):
                raise ValueError(
                    f"{here}: expected a whole number in 'index', got {shown(index)}; languages "
                    "are aligned by it"
                )
            subject, thing = (filled(sample, key, here).strip() for key in _SAMPLE[1:])
            found.append(Entry(relation, str(index), subject, thing))
    return found
