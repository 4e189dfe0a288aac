"""Run a program under a limit of the system: `python limited.py LIMIT BYTES PROGRAM...`."""

import os
import resource
import sys

LIMITS = {"file": resource.RLIMIT_FSIZE, "memory": resource.RLIMIT_AS}


def main(limit: str, size: str, *words: str) -> None:
    """Set a limit and become the program."""
    resource.setrlimit(LIMITS[limit], (int(size), int(size)))
    os.execvp(words[0], words)


if __name__ == "__main__":
    main(*sys.argv[1:])
