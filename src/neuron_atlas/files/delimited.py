"""Read tables of fields that commas or tabs separate; an error names the file and the line."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedIOBase

from neuron_atlas.files import text_files
from neuron_atlas.files.json_values import shown

Row = tuple[str, Mapping[str, object]]  # file and line, values by column


def rows(
    stream: BufferedIOBase, where: str, *, required: Sequence[str], delimiter: str = ","
) -> Iterator[Row]:
    """Yield the file and line, and the fields by column, of each record.

    Args:
        stream: The file's bytes.
        where: Its name in messages.
        required: Columns that the header must have.
        delimiter: What separates fields.

    Raises:
        ValueError: the header lacks a column or has one twice, a record has another number of
            fields, or there is none.
    """
    found = _fields(stream, where, delimiter)
    header_where, header = next(found, (where, []))
    header = [name.strip() for name in header]
    _check_header(header, header_where, required, delimiter)
    empty = True
    for here, fields in found:
        if len(fields) != len(header):
            raise ValueError(
                f"{here}: expected {len(header)} fields as in the header, got {len(fields)}: "
                f"{shown(fields)}; quote a field with a {_NAMES[delimiter]}"
            )
        yield here, dict(zip(header, fields, strict=True))
        empty = False
    if empty:
        raise ValueError(f"{where}: expected at least one record, got none; fill the file")


_NAMES = {",": "comma", "\t": "tab"}


def _fields(stream: BufferedIOBase, where: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the file and first line, and the fields, of each record that is not blank."""
    lines = (line for _, line in text_files.lines(stream, where))
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    first = 1
    with _field_limit():
        try:
            for fields in reader:
                if fields:
                    yield f"{where}, line {first}", fields
                first = reader.line_num + 1
        except csv.Error as error:
            kind = "CSV" if delimiter == "," else "TSV"
            raise ValueError(
                f"{where}, line {first}: expected {kind}, got a record with {shown(str(error))}; "
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


def _check_header(
    header: Sequence[str], where: str, required: Sequence[str], delimiter: str
) -> None:
    missing = [name for name in required if name not in header]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if missing or doubled:
        others = {";", "\t", ","} - {delimiter}
        wrong = bool(missing) and bool(others & set("".join(header)))
        apart = f"; separate the fields with {_NAMES[delimiter]}s" if wrong else ""
        raise ValueError(
            f"{where}: expected a header with {', '.join(required)}, each name once, got "
            f"{shown(header)}: missing {missing}, doubled {shown(doubled)}; correct it{apart}"
        )
