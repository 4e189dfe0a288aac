"""What a process is given by its start: a forked one may stand for a fresh one only if it agrees.

Libraries read the environment when they are imported, and the code is read only once.
"""

import hashlib
import json
import os
import resource
import sys
from pathlib import Path

from neuron_atlas.launching.dvc_run import STAGE

PACKAGE = Path(__file__).parents[1]
FREE = (STAGE, "_", "SHLVL", "OLDPWD")  # variables that no library reads when it is imported


def code(scripts: Path) -> str:
    """Return a digest of the names, sizes and times of the library's files and the scripts."""
    found = []
    for folder in (PACKAGE, scripts.absolute()):
        for path, folders, names in os.walk(folder):
            folders[:] = sorted(set(folders) - {"__pycache__"})
            for name in sorted(names):
                status = os.stat(os.path.join(path, name))  # noqa: PTH116, PTH118 - ten times faster
                found.append((path, name, status.st_size, status.st_mtime_ns))
    return _digest(found)


def given() -> str:
    """Return a digest of the environment, the folder, the limits and the priority."""
    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return _digest(
        [
            sorted((k, v) for k, v in os.environ.items() if k not in FREE),
            [os.getcwd(), sys.executable, sys.version],  # noqa: PTH109 - as the system says it
            [resource.getrlimit(getattr(resource, name)) for name in limits],
            [sorted(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0)],
        ]
    )


def free() -> dict[str, str]:
    """Return the variables that may differ."""
    return {name: os.environ[name] for name in FREE if name in os.environ}


def set_free(values: dict[str, str]) -> None:
    """Set the variables that may differ, and remove those that are absent."""
    for name in FREE:
        os.environ.pop(name, None)
    os.environ.update(values)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
