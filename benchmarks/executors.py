"""Command: what Ray costs beside the local executor, on this machine: its start, and each part.

`NEURON_ATLAS_RAY_WORKERS=2 executors.py OUT` writes `OUT` (JSON): seconds until the first part is
back, and milliseconds per part, when a part is the prompts of one group of the stage `recall` and
the work gives them back, so that all that is timed is the way there and back. Local and Ray take
turns.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from neuron_atlas.executors import executor
from neuron_atlas.pipeline import store

GROUP, N_CANDIDATES = 64, 60  # prompts of a part, and candidates of a prompt
N_PARTS, ROUNDS = 100, 4


def part() -> pd.DataFrame:
    """Return a table like a group of recall's prompts."""
    labels = [f"candidate {i}" for i in range(N_CANDIDATES)]
    rows = [
        {"fact": f"Q{i}", "prompt": f"The capital of country number {i} is", "template": i % 4}
        | {"candidates": labels, "candidate_labels": labels, "values": np.zeros(N_CANDIDATES)}
        for i in range(GROUP)
    ]
    return pd.DataFrame(rows)


def same(table: pd.DataFrame) -> pd.DataFrame:
    """Return a part as it is."""
    return table


def seconds(name: str, n_parts: int) -> float:
    """Return how long an executor takes for parts."""
    os.environ[executor.VARIABLE] = name
    parts, begin = [part()] * n_parts, time.perf_counter()
    for _ in executor.chosen().map(same, parts):
        pass
    return time.perf_counter() - begin


def main(out: Path) -> None:
    """Measure, and write what was found."""
    start = seconds(executor.RAY, 1)
    seconds(executor.RAY, N_PARTS)  # so that all workers are there
    taken: dict[str, list[float]] = {executor.LOCAL: [], executor.RAY: []}
    for _ in range(ROUNDS):
        for name, found in taken.items():
            found.append(seconds(name, N_PARTS) / N_PARTS * 1000)
    each_part = {name: round(float(np.median(each)), 3) for name, each in taken.items()}
    about = {"start_seconds": round(start, 2), "milliseconds_per_part": each_part}
    store.write_json(out, about)
    print(about)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
