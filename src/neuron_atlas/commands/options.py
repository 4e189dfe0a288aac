"""The options that several commands have, and what a shell completes them with."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from neuron_atlas.commands import outputs
from neuron_atlas.commands.outputs import Run


def relations(ctx: typer.Context) -> list[str]:
    """Complete a relation's name from the run's outputs."""
    return _names(ctx, Run.relations)


def languages(ctx: typer.Context) -> list[str]:
    """Complete a language's code from the run's outputs."""
    return _names(ctx, Run.languages)


def facts(ctx: typer.Context) -> list[str]:
    """Complete a fact's id from the run's table of facts, of any language."""
    return _names(ctx, _facts)


def claims(ctx: typer.Context) -> list[str]:
    """Complete a claim's name from the run's verdicts."""
    return _names(ctx, lambda run: [p.stem for p in run.place("metrics/verdicts").glob("*.json")])


def _facts(run: Run) -> list[str]:
    from pyarrow import parquet

    tables = (
        parquet.read_table(file, columns=["fact"])
        for file in sorted(run.place("data/facts").glob("*.parquet"))
    )
    return sorted({str(fact) for table in tables for fact in table["fact"].unique()})


def _names(ctx: typer.Context, of: Callable[[Run], list[str]]) -> list[str]:
    """Return names of the run that the line names so far; while completing, no error is shown."""
    given = ctx.params.get("data")
    try:
        return of(outputs.find(Path(given) if given else None))
    except (ValueError, OSError, KeyError):
        return []


def language_of(whose: str) -> Any:
    """Return the option `--language`; `whose` says what the language is of."""
    return typer.Option("--language", metavar="CODE", autocompletion=languages, help=whose)


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="A repository whose pipeline has run, or its folder data; by default the one that "
        "the present folder is in.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Relation = Annotated[
    str | None,
    typer.Option("--relation", metavar="NAME", autocompletion=relations, help="Such as capital."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the random neurons.")]
