"""Whose numbers the workspace has: a warning before they are shown."""

import typer

from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import plain


def told(run: Run) -> str | None:
    """Return whose results a repository's workspace has, in words; None if nobody knows.

    A warning goes to standard error if they are another run's: the parameters or the data are
    newer than the metrics and the page.
    """
    from neuron_atlas.comparison.ownership import of_workspace

    try:
        found = of_workspace(run.root)
    except ValueError:  # no repository of DVC's, such as a folder that was unpacked
        return None
    if not found.own:
        typer.echo(f"warning: these results are {plain(found.told())}", err=True)
    return found.told()
