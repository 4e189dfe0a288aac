"""Run a stage's script in this process as `python SCRIPT WORDS...` would."""

import atexit
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 128 + 2  # the shell's status of a process that SIGINT ended
INTERRUPTION = "\ninterrupted; run the same command again to go on"


def run(words: Sequence[str]) -> None:
    """Run a script as the main module.

    Args:
        words: The script's path, and its arguments.
    """
    path = Path(words[0]).absolute()
    sys.argv = list(words)
    sys.path[0] = str(path.parent)
    runpy.run_path(words[0], run_name="__main__")


class QuickEnd:
    """Lets a process end without taking apart its modules; all else that Python does is done.

    Made before any library is imported, it comes after what those do at the end. In a forked
    process taking modules apart would first copy the memory that it shares.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        atexit.register(self._end)

    def run(self, words: Sequence[str]) -> None:
        """Run a script, as `run` does."""
        try:
            run(words)
            self._status = 0
        except SystemExit as end:
            self._status = end.code if isinstance(end.code, int) else None
            raise

    def _end(self) -> None:
        if self._status is not None:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(self._status)
