"""The program `neuron-atlas`: its commands, and how it ends.

A command is a function in the module of its name, added here by one line. What it needs beyond its
signature it imports when it runs, so that `--help` and completion load neither torch nor pandas.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neuron_atlas.commands import (
    ablate,
    ask,
    compare,
    edit,
    export,
    facts,
    neuron,
    neurons,
    open,
    plan,
    verdicts,
)
from neuron_atlas.commands.printing import plain

FAILED = 1
OUT_OF_MEMORY = "not enough memory; stop other programs, or take a smaller model"
ENDINGS = (
    "Status: 0 done, 1 an error of the input or missing data (one line on standard error), 2 the "
    "command line is wrong, 130 interrupted. NO_COLOR=1 leaves colours out."
)


class Commands(TyperGroup):
    """The commands, for which an error of the user's is one line and no traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the line names.

        Raises:
            Exit: with status 1, after one line on standard error, if the command raised a
                ValueError, or failed on a file, on what is in it, or for lack of memory.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever reads has seen enough; typer ends quietly
        except Exception as error:
            line = _line(error)
            if line is None:
                raise
            _end(line, error)


app = typer.Typer(
    cls=Commands,
    name="neuron-atlas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it comes in half the time
    epilog=ENDINGS,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"neuron-atlas {version('neuron-atlas')}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Look at what a run found: facts, neurons, what they mean, what breaks without them."""


for command in (
    facts.facts,
    ask.ask,
    neurons.neurons,
    neuron.neuron,
    ablate.ablate,
    edit.edit,
    verdicts.verdicts,
    compare.compare,
    export.export,
    open.open,
    plan.plan,
):
    app.command()(command)


def _line(error: Exception) -> str | None:
    """Say what went wrong; None for an error of the program itself."""
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return OUT_OF_MEMORY
    of_data = type(error).__name__ == "SafetensorError"  # weights or values that are cut off
    return text if of_data or isinstance(error, ValueError | OSError) else None


def _end(message: str, error: BaseException) -> None:
    typer.echo(f"error: {plain(' '.join(message.split()))}", err=True)
    raise typer.Exit(FAILED) from error
