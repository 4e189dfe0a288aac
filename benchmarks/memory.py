"""The largest memory that a process held."""

import re
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path


def peak_mb(command: Sequence[str]) -> int:
    """Run a command that ends by printing its `own_peak_mb`, and return that.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def own_peak_mb() -> int:
    """Return the largest memory that this process has held, MB: imports and weights too.

    Linux's `ru_maxrss` begins with the memory of the process that started this one, so that there
    the kernel's own count of this program is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status.read_text(), flags=re.M)
        return round(int(line) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
