"""Run a stage script: its signature is its command line, and an error is one line."""

import errno
import re
import sys
from collections.abc import Callable

import tyro

from neuron_atlas.pipeline.script import INTERRUPTED, INTERRUPTION

MEMORY = (
    "not enough memory; stop other programs, or take a smaller model, model.dtype: bfloat16 or a "
    "machine with more memory"
)
NO_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|bad_alloc", re.I
)
NOT_WRITABLE = "may not be written to; check its permissions and its file system"
ADVICE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota of disk space is used up; free some space",
    errno.EFBIG: "files of this size are not allowed here; see `ulimit -f`",
    errno.EROFS: f"the folder {NOT_WRITABLE}",
    errno.EACCES: f"the file or folder {NOT_WRITABLE}",
    errno.EPERM: f"the file or folder {NOT_WRITABLE}",
    errno.EEXIST: "a file is where a folder should be; move it away",
    errno.ENOTDIR: "a file is where a folder should be; move it away",
    errno.ENOMEM: MEMORY,
}
RUN_AGAIN = "then run the same command again: what was finished is kept"


def run(main: Callable[..., None]) -> None:
    """Call `main` with the arguments that the command line gives.

    Raises:
        SystemExit: after one line on standard error, with status 1 if `main` raised a ValueError
            or failed on a file or for lack of memory, 130 if it was interrupted (Ctrl-C), and 2 if
            the command line is wrong.
    """
    try:
        tyro.cli(main)
    except KeyboardInterrupt:
        _end(INTERRUPTION, INTERRUPTED)
    except Exception as error:
        line = _line(error)
        if line is None:
            raise
        _end(f"error: {line}", 1)


def _end(line: str, status: int) -> None:
    print(line, file=sys.stderr)  # noqa: T201
    raise SystemExit(status) from None


def _line(error: Exception) -> str | None:
    """Say in one line what went wrong and what to do; None for an error of the program itself."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or NO_MEMORY.search(text):
        return f"{MEMORY}, {RUN_AGAIN} ({text or type(error).__name__})"
    number = _number(error, text)
    if number in ADVICE:
        return f"{ADVICE[number]}, {RUN_AGAIN} ({text})"
    return text if number is not None or isinstance(error, ValueError | OSError) else None


def _number(error: Exception, text: str) -> int | None:
    """Return an error's errno; safetensors states it only in the text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", text)
    return int(found[1]) if found else None
