"""Whose numbers the workspace has: a warning before they are shown."""

from typing import TYPE_CHECKING

import typer

from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import plain

if TYPE_CHECKING:
    from neuron_atlas.comparison.ownership import Ownership


def told(run: Run) -> str | None:
    """Return whose results a repository's workspace has, in words; None if nobody knows.

    A warning goes to standard error if they are another run's: the parameters or the data are
    newer than the metrics and the page.
    """
    found = _ownership(run)
    return None if found is None else found.told()


def another_run_s(run: Run) -> bool:
    """Return whether a workspace's metrics are known to be another run's; warn if they are."""
    found = _ownership(run)
    return found is not None and not found.own


def _ownership(run: Run) -> "Ownership | None":
    from neuron_atlas.comparison.ownership import of_workspace

    try:
        found = of_workspace(run.root)
    except ValueError:  # no repository of DVC's, such as a folder that was unpacked
        return None
    if not found.own:
        typer.echo(f"warning: these results are {plain(found.told())}", err=True)
    return found
