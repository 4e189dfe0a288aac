"""Command: experiments and commits side by side."""

from pathlib import Path
from typing import Annotated

import typer

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json

KEYS = {
    "page": "the file that was written",
    "reference": "the run that the others are compared with: the first with numbers of its own",
    "runs[].name": "an experiment, a commit, or workspace",
    "runs[].rev": "its commit",
    "runs[].state": "finished, running, queued or failed",
    "runs[].own": "whether it has numbers, and they are its own",
    "runs[].told": "whose numbers it has, in words",
    "runs[].stopped_before": "the first stage that would have to run again, or null",
    "runs[].behind": "by such a stage, why",
    "runs[].changed_inputs": "code and other files that have changed since the stages ran",
    "runs[].by_size": "what was compared by size, since its listing is not in the cache",
    "runs[].unchecked": "what could not be compared, for the same reason",
    "parameters": "by parameter that differs, its value in each run",
    "inputs": "by code or other file that differs, the start of its hash in each run",
    "known": "by language where they differ, the known facts of each run",
    "claims": "by claim, `findings` (verdict, effect, mde) of each run, `changes` of the effect "
    "(difference with interval, z, beyond, size: identical, within, beyond), and `new_verdicts`",
    "sets[].run": "a run, whose relation neurons are compared with",
    "sets[].compared_with": "those of this run",
    "sets[].absent": "why they are not compared, or null",
    "sets[].relations": "by relation and source: sizes, shared neurons, jaccard, chance",
}


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="Experiments by name, commits, or workspace; by default HEAD, the workspace if it "
            "differs, and the experiments made from HEAD.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Where the page goes: report/compare.html."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Experiments and commits side by side, here and on a page.

    What differs between runs, what each says of the claims, and which effects changed beyond their
    intervals. Numbers that a run has from another one, since it stopped at a stage, are not shown.
    Nothing is fetched or computed again.

    For example: neuron-atlas compare HEAD larger-sets
    """
    from neuron_atlas.comparison import terminal
    from neuron_atlas.comparison.compare import PAGE, write_page
    from neuron_atlas.comparison.compare import compare as compared

    run = outputs.find(data)
    found = compared(runs or (), run.root)
    out = page or run.place(str(PAGE))
    write_page(found, out)
    width = printing.console().width
    told = {"page": str(out), **found.as_dict()}
    printing.show(told, as_json, lambda _: [*terminal.parts(found, width), "", f"The page: {out}"])
