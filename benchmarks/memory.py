"""Measure the largest memory that a process has held."""

import re
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path


def peak_mb(command: Sequence[str]) -> int:
    """Run a command whose last line of output is its `own_peak_mb`, and return that, MB.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def own_peak_mb() -> int:
    """Return the largest memory that this process has held, MB: imports and weights too.

    On Linux `ru_maxrss` starts from the memory of the parent process, so the kernel's own count of
    this program is read instead.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status.read_text(), flags=re.M)
        return round(int(line) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
