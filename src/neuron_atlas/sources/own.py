"""Read a user's own facts: one JSON Lines or CSV file for all languages."""

import csv
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import BufferedIOBase
from pathlib import Path

import pandas as pd

from neuron_atlas.sources import text_files
from neuron_atlas.sources.json_values import filled, known_language, relation_name, shown, text
from neuron_atlas.sources.raw import COLUMNS, Origin, Raw, relations_to_read

REQUIRED = ("relation", "language", "subject", "object")
LABELS = ("subject_label", "object_label")

Row = tuple[str, Mapping[str, object]]  # file and line, values by column


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of a file with one fact per line.

    Args:
        path: `.jsonl` or `.csv`, with the columns `REQUIRED` and, if labels differ from ids,
            `LABELS`; other columns are ignored.
        language: One of the file's languages.
        relations: Those to read; None reads all that the file has in any language.

    Returns:
        The rows in the file's order, without templates.

    Raises:
        ValueError: the file is of another kind, lacks the language or a relation, or a line of
            any language is malformed.
    """
    with closing(_rows(path)) as rows:
        return collect(rows, source=str(path), language=language, relations=relations)


def origin(path: Path) -> Origin:
    """Return the file's name and digest; its licence is not known."""
    return Origin(
        name=path.name,
        version="",
        licence="not stated",
        reference="a file of one's own",
        files={path.name: text_files.sha256(path)},
    )


def collect(
    rows: Iterable[Row], *, source: str, language: str, relations: Sequence[str] | None
) -> Raw:
    """Collect one language's rows of a source that holds all languages.

    Args:
        rows: The rows of all languages, which tell what languages and relations there are.
        source: Its name in error messages.
        language: One of the source's languages.
        relations: Those to keep; None keeps all.

    Raises:
        ValueError: a row is malformed, or the source lacks the language or a relation.
    """
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    known, codes = set(), set()
    for where, row in rows:
        found = checked(row, where)
        known.add(found["relation"])
        codes.add(found["language"])
        if found["language"] == language:
            for name in COLUMNS:
                columns[name].append(found[name])
    known_language(language, sorted(codes), source)
    table = pd.DataFrame(columns, dtype="str")
    kept = table["relation"].isin(relations_to_read(relations, sorted(known), source))
    return Raw(language, table[kept].reset_index(drop=True), {})


def checked(row: Mapping[str, object], where: str) -> dict[str, str]:
    """Return a row's `REQUIRED` and `LABELS`, as text.

    A missing label becomes the id; a label that is null becomes empty.

    Raises:
        ValueError: a value is missing, blank where it is required, or not text.
    """
    found = {name: filled(row, name, where).strip() for name in REQUIRED}
    relation_name(found["relation"], where)
    for name in LABELS:
        value = row.get(name, found[name.removesuffix("_label")])
        found[name] = "" if value is None else text({name: value}, name, where)
    return found


def _rows(path: Path) -> Generator[Row, None, None]:
    readers = {".jsonl": text_files.json_lines, ".csv": _csv_rows}
    if not path.is_file() or path.suffix.lower() not in readers:
        found = "another name" if path.is_file() else "no file"
        raise ValueError(f"{path}: expected a .jsonl or .csv file, found {found}; check the path")
    with text_files.Folder(path.parent, (path.name,)).open(path.name) as stream:
        yield from readers[path.suffix.lower()](stream, str(path))


def _csv_rows(stream: BufferedIOBase, where: str) -> Iterator[Row]:
    rows = _fields(stream, where)
    header_where, header = next(rows, (where, []))
    header = [name.strip() for name in header]
    _check_header(header, header_where)
    empty = True
    for here, fields in rows:
        if len(fields) != len(header):
            raise ValueError(
                f"{here}: expected {len(header)} fields as in the header, got {len(fields)}: "
                f"{shown(fields)}; quote a field with a comma"
            )
        yield here, dict(zip(header, fields, strict=True))
        empty = False
    if empty:
        raise ValueError(f"{where}: expected at least one record, got none; fill the file")


def _fields(stream: BufferedIOBase, where: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the file and first line, and the fields, of each record that is not blank."""
    reader = csv.reader((line for _, line in text_files.lines(stream, where)), strict=True)
    first = 1
    with _field_limit():
        try:
            for fields in reader:
                if fields:
                    yield f"{where}, line {first}", fields
                first = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"{where}, line {first}: expected CSV, got a record with {shown(str(error))}; "
                "double the quotes inside a quoted field"
            ) from error


@contextmanager
def _field_limit() -> Iterator[None]:
    """Let a field be as long as a line may be; the csv module's limit is a global."""
    before = csv.field_size_limit(text_files.MAX_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_header(header: Sequence[str], where: str) -> None:
    missing = [name for name in REQUIRED if name not in header]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if missing or doubled:
        apart = "; separate the fields with commas" if {";", "\t"} & set("".join(header)) else ""
        raise ValueError(
            f"{where}: expected a header with {', '.join(REQUIRED)}, each name once, got "
            f"{shown(header)}: missing {missing}, doubled {shown(doubled)}; correct it{apart}"
        )
