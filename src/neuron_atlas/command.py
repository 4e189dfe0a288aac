"""Running a stage script: its signature is its command line, its errors are one line."""

import sys
from collections.abc import Callable

import tyro


def run(main: Callable[..., None]) -> None:
    """Call `main` with what the command line says.

    Raises:
        SystemExit: with status 1 after `error: ...` on the standard error stream, where `main`
            raised a ValueError or an OSError; with status 2 where the command line is wrong.
    """
    try:
        tyro.cli(main)
    except (ValueError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
