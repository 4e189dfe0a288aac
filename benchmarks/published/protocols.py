"""Write what was run as published into docs/protocols.md: `python -m published.protocols`."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neuron_atlas.pipeline import store
from published import page
from published.knowledge import page as knowledge_page

FIGURES = Path(__file__).parent
PAGE = Path("docs/protocols.md")
SECTIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "liu2025": page.page,
    "knowledge": knowledge_page.page,
    "knowledge_encoder": knowledge_page.page,
}


def written(text: str, figures: Path = FIGURES) -> str:
    """Return the page with a section from each file of figures that there is.

    A section stands between `<!-- name -->` and `<!-- end of name -->`; one whose figures are not
    there stays as it is.

    Args:
        text: The page.
        figures: The folder of the files, each called after its section.
    """
    for name, make in SECTIONS.items():
        file = figures / f"{name}.json"
        if file.exists():
            text = _put(text, name, _lower(make(store.read_json(file))))
    return text


def _put(text: str, name: str, section: str) -> str:
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if start not in text or end not in text:
        raise ValueError(f"expected the page to have the lines {start!r} and {end!r}")
    before, rest = text.split(start)
    return before + start + section + end + rest.split(end)[1]


def _lower(section: str) -> str:
    """Return a section with its headings one level lower."""
    return re.sub(r"^#", "##", section, flags=re.M)


def update(file: Path = PAGE) -> None:
    """Bring the page up to date with the figures."""
    text = written(file.read_text(encoding="utf-8"))
    with store.atomic(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    update(*map(Path, sys.argv[1:2]))
