"""How pages write numbers, addresses and rows: the filters of their templates."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
NEGATIVE = re.compile(r"(?<![\w.-])-(?=\d)")


def number(value: float | int | None, digits: int = 2) -> str:
    """Return a number with a typographic minus, or a dash if there is none."""
    if value is None or pd.isna(value):
        return NONE
    return f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | int | None, digits: int = 2) -> str:
    """Return a number with its sign, or a dash if there is none."""
    if value is None or pd.isna(value):
        return NONE
    return f"{value:+.{digits}f}".replace("-", MINUS)


def digits(values: Sequence[float | None]) -> int:
    """Return the number of decimals for figures shown together: 4 if all are nearly 0, else 2."""
    sizes = [abs(value) for value in values if value is not None and pd.notna(value)]
    return 4 if 0 < max(sizes, default=0.0) < 0.05 else 2


def small(value: float | int | None) -> str:
    """Return a signed number with two decimals, or four if it is nearly 0."""
    if value is None or pd.isna(value):
        return NONE
    return signed(value, 2 if abs(value) >= 0.05 or value == 0 else 4)


def share(value: float | None) -> str:
    """Return a share in percent, or a dash if there is none."""
    if value is None or pd.isna(value):
        return NONE
    return f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"


def p(value: float | int | None) -> str:
    """Return a p-value to two significant digits, or that it is below 0.001."""
    if value is None or pd.isna(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def count(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}"


def plain(value: Any) -> str:
    """Return any value of a table: a number to three digits, yes or no, or a text as it is."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:.3g}".replace("-", MINUS) if isinstance(value, float) else str(value)


def minus(text: str) -> str:
    """Return a text with a typographic minus before each negative number."""
    return NEGATIVE.sub(MINUS, text)


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def token(text: str) -> str:
    """Return a token so that it can be seen: a space as ␣, what cannot be printed by its number."""
    shown = text.replace(" ", "␣")
    return "".join(one if one.isprintable() else f"U+{ord(one):04X}" for one in shown)


def link(address: str | None) -> str:
    """Return an https address unchanged, and an empty text for any other scheme."""
    return address if address and address.startswith("https://") else ""


def with_values(rows: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def by_place(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Join the rows that differ only in `where`: `at` maps each `where` to its row."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        named = {key: row[key] for key in keys}
        found.setdefault(tuple(named.values()), {**named, "at": {}})["at"][row["where"]] = row
    return list(found.values())


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number,
    "signed": signed,
    "digits": digits,
    "by_place": by_place,
    "p": p,
    "small": small,
    "count": count,
    "plain": plain,
    "token": token,
    "minus": minus,
    "sentence": sentence,
    "link": link,
    "share": share,
    "with": with_values,
}
