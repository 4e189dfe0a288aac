"""What a page needs to include the explorer: its scripts, and the values of its templates."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from neuron_atlas.cards import tables
from neuron_atlas.cards.reading import Cards
from neuron_atlas.explorer.packed import Payload, payload
from neuron_atlas.pages.shell import FOLDER, Script

PACKAGE = "itables"  # carries DataTables as one module, to be used without a network
BUNDLE = "itables/html/dt_bundle.js"
OURS = (
    *("explorer_data.js", "explorer_words.js", "explorer_meanings.js", "explorer_tokens.js"),
    *("explorer_card.js", "explorer_table.js", "explorer.js"),
)  # one module, in this order
EXPORTS = re.compile(r"^(.*[;}\n])?\s*export\s*\{([^{}]*)\}\s*;?", re.DOTALL)
DEFAULT = re.compile(r"(?:^|,)\s*([\w$]+)\s+as\s+default\s*(?:,|$)")
IMPORTS = re.compile(r"^\s*import\b[^(]", re.MULTILINE)
ENDS_A_SCRIPT = re.compile(r"<(?=/?script|!--)", re.IGNORECASE)
Choice = tuple[str, str]


@dataclass(frozen=True)
class View:
    """The values of `explorer.html.j2` and `explorer_data.html.j2`.

    Attributes:
        payload: The blocks of data.
        n: Neurons with a card.
        relations, languages, kinds, layers: What can be filtered by: each value, and how it is
            shown.
        example: Address of the first neuron, or of one that might be.
    """

    payload: Payload
    n: int
    relations: Sequence[Choice]
    languages: Sequence[Choice]
    kinds: Sequence[Choice]
    layers: Sequence[Choice]
    example: str


def view(cards: Cards) -> View:
    """Return what the explorer's templates show of the cards."""
    sets, neurons = cards.memberships, cards.neurons
    present = set(sets["kind"])
    first = next(iter(neurons.itertuples()), None)
    return View(
        payload=payload(cards),
        n=len(neurons),
        relations=_different(sets["relation"]),
        languages=_different(sets["language"]),
        kinds=[(kind, kind.replace("_", "-")) for kind in tables.KINDS if kind in present],
        layers=[(str(layer), str(layer)) for layer in sorted(set(neurons["layer"]))],
        example="3:141" if first is None else f"{first.layer}:{first.index}",
    )


def _different(texts: pd.Series) -> list[Choice]:
    return [(text, text) for text in sorted({str(text) for text in texts.dropna()})]


@cache
def scripts() -> list[Script]:
    """Return the explorer's module: DataTables, run when the table is first needed, and our own.

    Raises:
        ValueError: the package that carries DataTables is missing, or is not what is expected.
    """
    own = [(FOLDER / name).read_text(encoding="utf-8") for name in OURS]
    return [Script("\n".join([as_function("openDataTables", _bundle()), *own]))]


def _bundle() -> str:
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise ValueError(f"the package {PACKAGE} is not installed; {_remedy()}") from error
    try:
        return Path(str(found.locate_file(BUNDLE))).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"expected {BUNDLE} in {PACKAGE} {found.version}, which lacks it; {_remedy()}"
        ) from error


def _remedy() -> str:
    return (
        f"install the version that constraints.txt names: pip install -c constraints.txt {PACKAGE}"
    )


def as_function(name: str, module: str) -> str:
    """Return a function of this name that runs a module's code and returns its default export.

    So the module's own names meet no others, and it runs when the function is called.

    Args:
        name: The function's name.
        module: A module that imports nothing and names its exports in one statement at its end,
            as bundlers write it.

    Raises:
        ValueError: the module is not of that form.
    """
    found = EXPORTS.match(module)
    default = DEFAULT.search(found[2]) if found else None
    if found is None or default is None or IMPORTS.search(module):
        what = f"exports {found[2]!r}" if found else "no exports"
        raise ValueError(
            f"expected a module that imports nothing and ends in `export {{... as default}}`, with "
            f"DataTables, got {what} in {BUNDLE}; {_remedy()}"
        )
    code = (found[1] or "") + module[found.end() :]
    return f"function {name}() {{\n{in_html(code)}\nreturn {default[1]};\n}}\n"


def in_html(code: str) -> str:
    r"""Return the same code without what would end a script in HTML: `<` is `\x3c` there.

    That is the same in texts, in patterns and in comments, and nowhere else can it stand.
    """
    return ENDS_A_SCRIPT.sub(r"\\x3c", code)
