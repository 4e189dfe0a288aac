"""The commands on a page, ready to run in a clone."""

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*) -->\n)?^```(?P<kind>sh|python)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of a page: its language, its text, and why it is not run, if it is not."""

    kind: str
    code: str
    why: str | None


def blocks(page: str) -> list[Block]:
    """Return the blocks of shell and of Python of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(b["kind"], b["code"], b["why"]) for b in BLOCK.finditer(text)]


def as_set_up(folder: Path) -> Path:
    """Give a clone the environment that `make setup` makes: this one, by links."""
    place, own = folder / ".venv", Path(sys.prefix)
    place.mkdir()
    for name in ("bin", "lib"):
        (place / name).symlink_to(own / name)
    shutil.copy(own / "pyvenv.cfg", place)
    (place / ".ready").touch()
    return folder
