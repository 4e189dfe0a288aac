"""The run of DVC that a stage belongs to: the process that started it."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

STAGE = "DVC_STAGE"  # DVC tells each stage its name


class Run(NamedTuple):
    """A process of DVC; its start tells it from a later one with the same number."""

    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.pid}-{self.started}"

    def is_alive(self) -> bool:
        """Return whether the process is still there."""
        return _started(self.pid) == self.started


def current() -> Run | None:
    """Return the nearest process of DVC above this one.

    Returns:
        None if DVC did not start this stage, or the system does not tell (only Linux does).
    """
    if sys.platform != "linux" or STAGE not in os.environ:
        return None
    pid = os.getppid()
    while pid > 1:
        status = _status(pid)
        if status is None:
            return None
        if _is_dvc(pid):
            return Run(pid, int(status[19]))
        pid = int(status[1])
    return None


def parse(text: str) -> Run:
    """Return the run that `str` gave this text for."""
    pid, _, started = text.partition("-")
    return Run(int(pid), int(started))


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks of the system's clock."""
    status = _status(pid)
    return None if status is None or status[0] == "Z" else int(status[19])


def _status(pid: int) -> list[str] | None:
    """Return the fields of proc(5)'s `stat` from the third on; the second may hold any text."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _is_dvc(pid: int) -> bool:
    """Tell DVC, as in `python -m dvc repro`, from the shells between it and this process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(Path(os.fsdecode(word)).name == "dvc" for word in words[:3])
