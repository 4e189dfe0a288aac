"""Read mLAMA, LAMA's facts in 53 languages: one file per language and relation."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from neuron_atlas.files.json_values import filled, relation_name, shown, text
from neuron_atlas.files.text_files import Folder, opened
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.raw import COLUMNS, Origin, Raw, relations_to_read

ORIGIN = Origin(
    name="mLAMA",
    version="1.1",
    licence="CC-BY-NC 4.0",
    reference="Kassner, Dufter and Schütze (2021), Multilingual LAMA, EACL",
)
_TEMPLATES = "templates"
_MARK = "checked-by-human"


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of mLAMA (Kassner, Dufter and Schütze 2021).

    Args:
        path: The folder `mlama1.1`, its parent, or a zip archive of either.
        language: The name of one of its folders.
        relations: Those to read, in this order; None reads all. A relation that only other
            languages have gives no rows.

    Returns:
        The triples as the files have them, and the templates of each relation in `relations` (with
        None, of each that has triples): an empty tuple for a relation without templates.

    Raises:
        ValueError: `path` is not mLAMA, lacks the language or a relation, or a line is malformed.
    """
    with opened(path) as folder:
        files = _files(folder)
        here = files[known_language(language, list(files), str(path))]
        known = {name for names in files.values() for name in names} - {_TEMPLATES}
        names = relations_to_read(relations, sorted(known), str(path))
        table = _table(folder, {name: here[name] for name in names if name in here})
        found = _templates(folder, here[_TEMPLATES])
    wanted = names if relations is not None else [name for name in names if name in here]
    return Raw(language, table, {name: tuple(found.get(name, ())) for name in wanted})


def origin(path: Path, languages: Iterable[str] | None = None) -> Origin:
    """Return mLAMA's origin, with digests of the archive or of the files of some languages."""
    with opened(path) as folder:
        files = _files(folder)
        codes = sorted(files) if languages is None else languages
        named = {code: files[known_language(code, list(files), str(path))] for code in codes}
        names = [name for found in named.values() for name in found.values()]
        return replace(ORIGIN, files=folder.sha256(names))


def _files(folder: Folder) -> dict[str, dict[str, str]]:
    """Return file names by language and relation; each language has one file of templates."""
    found = {
        k: v for k, v in files_by_language(folder, f"{_TEMPLATES}.jsonl").items() if _TEMPLATES in v
    }
    for name in (name for files in found.values() for name in files.values()):
        relation_name(PurePosixPath(name).stem, folder.where(name))
    if all(len(files) == 1 for files in found.values()):
        raise ValueError(
            f"{folder.path}: expected files <language>/<relation>.jsonl beside the templates, "
            "found none; restore them"
        )
    return found


def files_by_language(folder: Folder, marker: str) -> dict[str, dict[str, str]]:
    """Return the names of files `<prefix>/<language>/<stem>.jsonl`, by language and stem.

    Args:
        folder: Where to look.
        marker: Pattern of file names; its matches tell the prefix, which may be empty.

    Raises:
        ValueError: nothing matches, or the matches have more than one prefix.
    """
    paths = {PurePosixPath(name): name for name in folder.names if name.endswith(".jsonl")}
    deep = {path: name for path, name in paths.items() if len(path.parts) > 1}
    roots = {path.parent.parent for path in deep if path.match(marker)}
    if len(roots) != 1:
        found = shown(sorted(map(str, roots))) if roots else "none"
        raise ValueError(
            f"{folder.path}: expected files <language>/{marker} in one folder, found {found}; "
            "give the folder that holds the languages"
        )
    files: dict[str, dict[str, str]] = defaultdict(dict)
    for path, name in deep.items():
        if path.parent.parent in roots:
            files[path.parent.name][path.stem] = name
    return dict(files)


def _table(folder: Folder, files: Mapping[str, str]) -> pd.DataFrame:
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for relation, name in files.items():
        for where, record in folder.json_lines(name):
            columns["relation"].append(relation)
            columns["subject"].append(filled(record, "sub_uri", where))
            columns["subject_label"].append(text(record, "sub_label", where))
            columns["object"].append(filled(record, "obj_uri", where))
            columns["object_label"].append(text(record, "obj_label", where))
    return pd.DataFrame(columns, dtype="str")


def _templates(folder: Folder, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for where, record in folder.json_lines(name):
        relation = relation_name(text(record, "relation", where), where)
        found[relation].append(template(record, "template", where))
    return found


def template(record: Mapping[str, object], key: str, where: str) -> str:
    """Return the template of a key, with `[X]` and `[Y]` replaced by `{subject}` and `{object}`.

    Raises:
        ValueError: it is not text, is blank, or has a brace.
    """
    value = filled(record, key, where)
    if "{" in value or "}" in value:
        raise ValueError(f"{where}: expected no brace in {key!r}, got {shown(value)}; remove it")
    return value.replace("[X]", SUBJECT).replace("[Y]", OBJECT)


def pattern_languages(folder: Path) -> tuple[str, ...]:
    """Return the languages of a folder of paraphrases, as `read_patterns` finds them."""
    with opened(folder) as files:
        return tuple(sorted(files_by_language(files, "*.jsonl")))


@dataclass(frozen=True)
class Patterns:
    """Paraphrases by relation: those that the source marks as checked by a human, and the others.

    Both in the files' order, with `{subject}` and `{object}`.
    """

    checked: Mapping[str, tuple[str, ...]]
    others: Mapping[str, tuple[str, ...]]


def read_patterns(folder: Path, language: str, relations: Sequence[str] | None) -> Patterns:
    """Read one language's paraphrases (Elazar et al. 2021 in English, Fierro and Søgaard 2022).

    Args:
        folder: Holds `<language>/<relation>.jsonl`, as a folder or a zip archive.
        language: The name of one of its folders; any other gives no templates.
        relations: Those to read; None reads all. A relation without a file is left out.

    Raises:
        ValueError: there is no such file in any language, or a line is malformed.
    """
    checked: dict[str, tuple[str, ...]] = {}
    others: dict[str, tuple[str, ...]] = {}
    with opened(folder) as files:
        found = files_by_language(files, "*.jsonl").get(language, {})
        for name in sorted(found) if relations is None else [n for n in relations if n in found]:
            relation_name(name, files.where(found[name]))
            rows = [
                (_is_checked(record, where), template(record, "pattern", where))
                for where, record in files.json_lines(found[name])
            ]
            checked[name] = tuple(text for mark, text in rows if mark)
            others[name] = tuple(text for mark, text in rows if not mark)
    return Patterns(checked, others)


def _is_checked(record: Mapping[str, object], where: str) -> bool:
    mark = record.get(_MARK, False)
    if not isinstance(mark, bool):
        raise ValueError(f"{where}: expected true or false in {_MARK!r}, got {shown(mark)}")
    return mark
