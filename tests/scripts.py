"""A stage's script, run as DVC runs it: in a folder of its own, by its command line."""

import os
import subprocess
import sys
from pathlib import Path

import warm

ROOT = Path(__file__).parents[1]


def run(folder: Path, stage: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `stages/<stage>.py` with `words` in `folder`, whatever its exit status."""
    script = ROOT / "stages" / f"{stage}.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return warm.run([sys.executable, str(script), *words], folder, environment)
