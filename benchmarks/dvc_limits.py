"""Measure what DVC takes for large outputs: to hash them, to link them, to see that none changed.

`python benchmarks/dvc_limits.py` writes `dvc_limits.json`. Files are made in a temporary folder and
deleted; as in the pipeline one folder holds one file per layer, and the cache is on the same disk.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("dvc_limits.json")
MB = 1 << 20
SETS = ((4, 64), (16, 64), (32, 64), (1, 1024))  # files, and MiB of each
TARGET = 72_000 * 352_256 * 2  # bytes: prompts * neurons in bfloat16
LINKS = ("reflink", "hardlink", "symlink")


def dvc(folder: Path, *words: str) -> None:
    """Run DVC in a folder."""
    subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / ".site")},
    )


def seconds(run: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measured(n_files: int, size: int) -> dict[str, Any]:
    """Measure one folder of files.

    Args:
        n_files: Files.
        size: MiB of each.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        dvc(folder, "init", "--no-scm", "-q")
        dvc(folder, "config", "cache.type", ",".join(LINKS))
        idle = seconds(lambda: dvc(folder, "status", "-q"))
        values = folder / "values"
        values.mkdir()
        for i in range(n_files):
            with (values / f"layer_{i:03d}.safetensors").open("wb") as file:
                for _ in range(size):
                    file.write(os.urandom(MB))
        add = seconds(lambda: dvc(folder, "add", "-q", "values")) - idle
        again = seconds(lambda: dvc(folder, "status", "-q")) - idle
        for path in values.iterdir():
            path.unlink()
        checkout = seconds(lambda: dvc(folder, "checkout", "-q", "values.dvc")) - idle
    n_bytes = n_files * size * MB
    return {
        "files": n_files,
        "bytes": n_bytes,
        "add_s": round(add, 2),
        "status_s": round(max(again, 0.0), 2),
        "checkout_s": round(max(checkout, 0.0), 2),
        "hashed_mb_per_s": round(n_bytes / 1e6 / add),
    }


def main() -> None:
    """Measure, and write it beside the size that is aimed at."""
    found = {"measured": [measured(*one) for one in SETS], "target_bytes": TARGET}
    OUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
