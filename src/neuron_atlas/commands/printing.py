"""Print what a command found: text and tables for people, or JSON for programs.

Labels, tokens and prompts come from data. They are shown as text: markup in them is not read, and
characters that would steer a terminal or turn a line around are shown by their codes.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Control characters, C1 among them, line and paragraph separators, what embeds or overrides a
# direction of writing, and halves of surrogate pairs.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ENDLESS = 1000  # columns where nobody looks at a terminal: no line is folded
NARROWEST = 10  # columns of a text that is folded
NONE = "–"  # of a number or a text that is not known
Found = Mapping[str, Any]


def plain(text: object) -> str:
    """Return a text that can be printed: characters that steer a terminal as their codes."""
    return STEERING.sub(lambda found: ascii(found[0])[1:-1], str(text))


def show(found: Found, as_json: bool, shown: Callable[[Found], Iterable[RenderableType]]) -> None:
    """Print what was found, and nothing else, to standard output.

    Args:
        found: Ready for JSON; a number that is not finite becomes null.
        as_json: Whether to print it as it is.
        shown: Turns it into what people read.
    """
    _never_fail_on_a_character()
    if as_json:
        sys.stdout.write(as_text(found) + "\n")
        return
    out = console()
    for part in shown(found):
        if isinstance(part, str):  # one line, such as a path: never folded
            out.print(plain(part), soft_wrap=True)
        else:
            out.print(part)


def as_text(found: object) -> str:
    """Return JSON in which characters that steer a terminal are escaped too."""
    text = json.dumps(_finite(found), indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub("(?!\n)" + STEERING.pattern, lambda found: f"\\u{ord(found[0]):04x}", text)


def console() -> Console:
    """Return where people's output goes; colours only on a terminal, and not if NO_COLOR is set."""
    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else ENDLESS
    return Console(markup=False, highlight=False, emoji=False, width=wide)


def table(
    columns: Mapping[str, str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
) -> "Fitting":
    """Return a table; where the terminal is too narrow for it, its rows stand one below the other.

    Args:
        columns: The headings, and for each `<` for text, `>` for numbers, or `!` for short texts
            that are never folded.
        rows: The cells; None is shown as `NONE`.
        title: Stands above.
    """
    every = [[NONE if cell is None else plain(cell) for cell in row] for row in rows]
    return Fitting({plain(heading): kind for heading, kind in columns.items()}, every, title)


@dataclass(frozen=True)
class Fitting:
    """A table that loses nothing in a narrow terminal.

    Attributes:
        columns: As those of `table`.
        rows: Texts that can be printed.
        title: Stands above.
    """

    columns: Mapping[str, str]
    rows: Sequence[Sequence[str]]
    title: str | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or each row's cells behind their headings."""
        if self._width() <= options.max_width:
            yield self._as_table()
            return
        if self.title:
            yield prose(self.title, style="italic")
        for row in self.rows:
            yield Padding(pairs(dict(zip(self.columns, row, strict=True))), (0, 0, 1, 0))

    def _width(self) -> int:
        """Return the columns of a terminal that the table needs at least."""
        between = 2 * (len(self.columns) + 1)
        return between + sum(
            min(widest, NARROWEST) if kind == "<" else widest
            for kind, widest in zip(self.columns.values(), self._widest(), strict=True)
        )

    def _widest(self) -> list[int]:
        lines = [list(self.columns), *self.rows]
        return [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]

    def _as_table(self) -> Table:
        made = Table(
            box=SIMPLE_HEAD,
            title=self.title and plain(self.title),
            title_justify="left",
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for heading, kind in self.columns.items():
            made.add_column(
                heading,
                justify="right" if kind == ">" else "left",
                no_wrap=kind != "<",
                min_width=NARROWEST if kind == "<" else None,
                overflow="fold",  # Chinese and Japanese have no spaces to fold at
            )
        for row in self.rows:
            made.add_row(*map(Text, row))
        return made


def prose(text: str, style: str = "") -> Text:
    """Return a text whose lines are folded between words."""
    return Text("\n".join(map(plain, text.split("\n"))), style=style)


def indented(text: str) -> Padding:
    """Return a text that is folded and stands to the right."""
    return Padding(prose(text), (0, 0, 0, 4), expand=False)


def pairs(rows: Mapping[str, object]) -> Table:
    """Return names with their values, one below the other."""
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column()
    for name, value in rows.items():
        shown = NONE if value is None or value == "" else plain(value)
        made.add_row(Text(plain(name), style="bold"), Text(shown))
    return made


def number(value: float | None, digits: int = 2) -> str | None:
    """Return a number with so many digits after the point."""
    return None if value is None or not isfinite(value) else f"{value:.{digits}f}"


def brief(value: float) -> str:
    """Return a number with its sign and two significant digits."""
    return f"{value:+.2g}"


def signed(value: float | None, digits: int = 2) -> str | None:
    """Return a number with its sign."""
    return None if value is None or not isfinite(value) else f"{value:+.{digits}f}"


def between(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return the two ends of an interval or a range; empty if one is not known."""
    if low is None or high is None or not isfinite(low) or not isfinite(high):
        return ""
    return f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def percent(value: float | None) -> str | None:
    """Return a share as per cent, with as many digits as small ones need."""
    if value is None or not isfinite(value):
        return None
    return f"{100 * value:.3g}" if value < 0.001 else f"{100 * value:.1f}"


def token(text: str) -> str:
    """Return a token with its spaces as ␣, so that they are seen and no line is folded there."""
    return plain(text).replace(" ", "␣")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _never_fail_on_a_character() -> None:
    """Let an output that cannot encode a character print its code in place of an error."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
