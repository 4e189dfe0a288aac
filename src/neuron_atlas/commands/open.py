"""Command: the page of results, in the browser."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.printing import Found

KEYS = {
    "whose": "whose results these are, in words: `its own`, or another run's; null if not known",
    "path": "of the page",
    "address": "that a browser opens, with the card's place",
    "opened": "whether a browser was found and asked to",
}
PAGE = "report/index.html"


def open(
    neuron: Annotated[
        str | None,
        typer.Option("--neuron", metavar="LAYER:INDEX", help="Open this neuron's card."),
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print where the page is, and open nothing.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Open the page of results in the browser.

    For example: neuron-atlas open --neuron 12:149
    """
    run = outputs.find(data)
    page = run.need(PAGE, "report").resolve()
    place = f"#n={_checked(run, neuron).replace(':', '.')}" if neuron else ""
    address = page.as_uri() + place
    about = {"whose": outputs.told_whose(run), "path": str(page), "address": address}
    opened = False if only_print else _opened(address)
    found = {**about, "opened": opened}
    printing.show(found, as_json, _path if opened or only_print else _by_hand)


def _checked(run: outputs.Run, neuron: str) -> str:
    from neuron_atlas.cards.reading import address, parse_address

    meta = outputs.read_json(run.need(f"{outputs.CARDS[0]}/meta.json", outputs.CARDS[1]))
    return address(parse_address(neuron, meta), meta)


def _opened(address: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


def _path(found: Found) -> Iterator[RenderableType]:
    yield found["address"] if "#" in found["address"] else found["path"]


def _by_hand(found: Found) -> Iterator[RenderableType]:
    yield f"no browser was found; open this page yourself: {found['path']}"
