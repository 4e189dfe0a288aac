"""Command: the run's sets and cards as a folder for others."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import Found

if TYPE_CHECKING:
    from neuron_atlas.exports.dataset_card import About

KEYS = {
    "folder": "that was made",
    "format": "of its tables",
    "rows": "by table",
    "licences": "of the `model` and of the `facts`, as recorded",
}
Format = Literal["csv", "json", "hf"]


def export(
    kind: Annotated[
        Format,
        typer.Option(
            "--format",
            help="csv and json: a file per table; hf: Parquet and a data set card, for hf upload.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="The folder to make; it must not be there. By default neuron-atlas-FORMAT.",
        ),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write sets and cards to a folder for others.

    With the verdicts, the licences of model and facts, and a README.

    For example: neuron-atlas export --format hf --out atlas
    """
    run, folder = outputs.find(data), out or Path(f"neuron-atlas-{kind}")
    if folder.exists():
        raise ValueError(f"{folder} is there already; name another folder with --out")
    place = run.need(*outputs.CARDS)
    about = _about(run)
    from neuron_atlas.cards.reading import read_cards
    from neuron_atlas.exports import folder as exports

    rows = exports.export(read_cards(place), about, kind, folder)
    found = {"folder": str(folder), "format": kind, "rows": rows, "licences": about.licences}
    printing.show(found, as_json, _shown)


def _about(run: Run) -> "About":
    from neuron_atlas.exports.dataset_card import About

    report = run.need(f"data/facts_report/{run.language(None)}.json", "facts")
    summary = run.place("metrics/summary.json")
    judged = summary.is_file() and not outputs.another_run_s(run)
    return About(
        model=outputs.read_json(run.need(f"{outputs.MODEL[0]}/provenance.json", outputs.MODEL[1])),
        facts=outputs.read_json(report)["source"],
        languages=run.languages(),
        verdicts=outputs.read_json(summary)["verdicts"] if judged else {},
    )


def _shown(found: Found) -> Iterator[RenderableType]:
    yield f"wrote {found['folder']}"
    yield printing.table({"table": "!", "rows": ">"}, [[n, r] for n, r in found["rows"].items()])
    yield printing.pairs({f"licence of the {n}": text for n, text in found["licences"].items()})
    if found["format"] == "hf":
        yield f"to share it: hf upload USER/NAME {found['folder']} --repo-type dataset"
