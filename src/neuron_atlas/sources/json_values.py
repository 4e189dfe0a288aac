"""JSON values with their checks: what is wrong is said in one line that names file and line."""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

_RELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a pair, which UTF-8 cannot hold
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, 80, 80


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def parsed(text: str, where: str, first: int = 1) -> Any:
    """Return the JSON value that is written in `text`, whose first line is the file's `first`.

    Raises:
        ValueError: it is not JSON, or holds NaN or an infinity.
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
    """Return a JSON value that must be an object."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a JSON object, got {shown(value)}; correct it")
    return value


def text(record: Mapping[str, object], key: str, where: str) -> str:
    """Return a key's text, as it is.

    Raises:
        ValueError: the key is missing, or its value is no text that UTF-8 can hold.
    """
    if key not in record:
        raise ValueError(f"{where}: expected {key!r}, got {shown(list(record))}; add it")
    value = record[key]
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise ValueError(f"{where}: expected text in {key!r}, got {shown(value)}; correct it")
    return value


def filled(record: Mapping[str, object], key: str, where: str) -> str:
    """Return a key's text as it is, which must hold more than white space."""
    value = text(record, key, where)
    if not value.strip():
        raise ValueError(f"{where}: expected {key!r} to be filled, got {shown(value)}; fill it")
    return value


def relation_name(name: str, where: str) -> str:
    """Return a relation's name, which becomes a part of file names and of fact ids."""
    if not _RELATION.fullmatch(name):
        raise ValueError(
            f"{where}: expected a relation's name of at most 64 letters, digits, '_', '.' and '-', "
            f"the first a letter or digit, got {shown(name)}; rename it"
        )
    return name


def one_of(language: str, languages: Sequence[str], where: str) -> str:
    """Return a language, which must be one of those that a source has."""
    if language not in languages:
        have = ", ".join(map(plain, sorted(languages)[:60]))[:300]
        raise ValueError(
            f"{where}: expected one of the languages {have}, got {shown(language)}; choose another"
        )
    return language


def shown(value: object) -> str:
    """Return a value as an error shows it: on one line, at most 80 characters."""
    text = _REPR.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def plain(name: str) -> str:
    """Return a name as it is, or as `shown` does if it is long or cannot be printed."""
    return name if name.isprintable() and len(name) <= 120 else shown(name)
