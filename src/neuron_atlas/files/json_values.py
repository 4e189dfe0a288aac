"""Read JSON values and check them; an error is one line that names the file and the line."""

import json
import re
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

_RELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a surrogate pair, which UTF-8 cannot encode
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, 80, 80


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def parsed(text: str, where: str, first: int = 1) -> Any:
    """Return the JSON value in `text`, whose first line is line `first` of the file, from 1.

    Raises:
        ValueError: it is not JSON; NaN and infinities are not.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        line, reason = first, str(error)
        if isinstance(error, json.JSONDecodeError):
            line, reason = first + error.lineno - 1, f"{error.msg} at column {error.colno}"
        raise ValueError(
            f"{where}, line {line}: expected JSON, got {shown(text)} ({reason}); correct it"
        ) from error


def mapping(value: object, where: str) -> dict[str, Any]:
    """Return a JSON value, which must be an object.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a JSON object, got {shown(value)}; correct it")
    return value


def text(record: Mapping[str, object], key: str, where: str) -> str:
    """Return the text of a key, unchanged.

    Raises:
        ValueError: the key is missing, or its value is not text that UTF-8 can encode.
    """
    if key not in record:
        raise ValueError(f"{where}: expected {key!r}, got {shown(list(record))}; add it")
    value = record[key]
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise ValueError(f"{where}: expected text in {key!r}, got {shown(value)}; correct it")
    return value


def filled(record: Mapping[str, object], key: str, where: str) -> str:
    """Return the text of a key, unchanged.

    Raises:
        ValueError: as `text` does, or the text is empty or only white space.
    """
    value = text(record, key, where)
    if not value.strip():
        raise ValueError(f"{where}: expected {key!r} to be filled, got {shown(value)}; fill it")
    return value


def listed(record: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """Return the list of a key.

    Raises:
        ValueError: the key is missing, or its value is no list or an empty one.
    """
    value = record.get(key)
    if not isinstance(value, list) or not value:
        got = shown(value) if key in record else "no such key"
        raise ValueError(f"{where}: expected {key!r} to be a filled list, got {got}; correct it")
    return value


def relation_name(name: str, where: str) -> str:
    """Return a relation's name, which becomes part of file names and of fact ids.

    Raises:
        ValueError: it has other characters, or too many.
    """
    if not _RELATION.fullmatch(name):
        raise ValueError(
            f"{where}: expected a relation's name of at most 64 letters, digits, '_', '.' and '-', "
            f"the first a letter or digit, got {shown(name)}; rename it"
        )
    return name


def shown(value: object) -> str:
    """Return a value for an error message: one line, at most 80 characters."""
    text = _REPR.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def printable(name: str) -> str:
    """Return a name unchanged, or as `shown` does if it is long or cannot be printed."""
    return name if name.isprintable() and len(name) <= 120 else shown(name)
