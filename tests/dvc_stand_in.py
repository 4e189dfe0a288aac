"""A process that starts stages as DVC does, so that a test can do so one at a time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LAUNCHER = "neuron_atlas.launching.launcher"
PROGRAM = """\
import json, os, signal, subprocess, sys

# What the shell starts with `&` ignores interrupts, and so would all that starts here.
signal.signal(signal.SIGINT, signal.default_int_handler)
for line in sys.stdin:
    words, variables = json.loads(line)
    with open("output.txt", "wb") as output:
        process = subprocess.Popen(words, env={**os.environ, **variables}, stderr=output)
        print(process.pid, flush=True)
        print(process.wait(), flush=True)
"""


@dataclass(frozen=True)
class Run:
    """A run of the stand-in in a folder."""

    process: subprocess.Popen[str]
    folder: Path

    def start(self, script: str, *words: str, **variables: str) -> int:
        """Start a stage and return its process."""
        command = [sys.executable, "-m", LAUNCHER, f"stages/{script}.py", *words]
        assert self.process.stdin
        self.process.stdin.write(json.dumps([command, {"DVC_STAGE": script, **variables}]) + "\n")
        self.process.stdin.flush()
        return self._number()

    def wait(self) -> tuple[int, str]:
        """Return the stage's exit status, and what it said after the line of progress."""
        status = self._number()
        progress, _, said = (self.folder / "output.txt").read_text("utf-8").partition("\n")
        assert progress.startswith("stage ")
        return status, said

    def stage(self, script: str, *words: str, **variables: str) -> tuple[int, str]:
        """Run a stage to its end."""
        self.start(script, *words, **variables)
        return self.wait()

    def told(self, script: str, *words: str, **variables: str) -> dict[str, Any]:
        """Run a stage that has to succeed, and return what it wrote to `out.json`."""
        (self.folder / "out.json").unlink(missing_ok=True)
        status, said = self.stage(script, *words, **variables)
        assert status == 0, said
        found: dict[str, Any] = json.loads((self.folder / "out.json").read_text())
        return found

    def _number(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())


@contextmanager
def started(folder: Path) -> Iterator[Run]:
    """Start a run in a folder, and end it."""
    (folder / "dvc").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(folder / "dvc")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Run(process, folder)
        assert process.stdin
        process.stdin.close()
        process.wait(60)
