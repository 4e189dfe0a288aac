"""Run the pipeline, and keep what its stages took beside what `neuron-atlas plan` needs to know.

`python benchmarks/run_costs.py NAME FOLDER` runs `make repro` in FOLDER, a clone in which nothing
has run, and puts seconds, memory and disk of its stages into `run_costs.json`. Nothing else may
work on the machine meanwhile. Its rates are the mean of those before and after the run. What was
watched is kept in the clone, so that the figures can be taken again. It needs Linux.
"""

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from subprocess import run
from typing import Any

import psutil

from costs import KEPT, found_size
from neuron_atlas.costs import devices, stages
from neuron_atlas.costs.settings import SECTIONS
from neuron_atlas.pipeline import params, stage_times
from neuron_atlas.pipeline.work_folder import FOLDER as WORK_FOLDER

OUT = Path(__file__).with_name("run_costs.json")
WATCHED = WORK_FOLDER / "watched.json"
LAUNCHER, SERVER = "neuron_atlas.launching.launcher", "neuron_atlas.launching.fork_server"
EVERY = 0.5  # seconds between two looks at the processes
RATES = ("peak", "compared")


def watched(folder: Path) -> dict[str, Any]:
    """Run the pipeline; return the largest memory of each stage's processes, and the rates."""
    memory: dict[str, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            for stage, size in _seen(folder).items():
                memory[stage] = max(size, memory.get(stage, 0))

    rates = [_rates()]
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        run(["make", "repro"], cwd=folder, check=True)
    finally:
        over.set()
        thread.join()
    rates.append(_rates())
    return {"memory": memory, "rates": rates}


def _rates() -> dict[str, float]:
    device = devices.measured(devices.find("laptop"), seconds=4)
    return {name: float(getattr(device, name)) for name in RATES}


def _seen(folder: Path) -> dict[str, int]:
    """Return the stage that runs in a folder, with the most that its process has held so far.

    A stage runs in its launcher, or in a process that a server has forked for it.
    """
    names, launchers, servers = list[str](), list[int](), dict[int, int]()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if LAUNCHER in words and process.cwd() == str(folder):
                names += [Path(word).stem for word in words if word.startswith("stages/")]
                launchers.append(process.pid)
            elif SERVER in words:
                servers[process.pid] = process.ppid()
    forked = [pid for pid, parent in servers.items() if parent in servers]
    return {name: max(map(_most, forked or launchers)) for name in names}


def _most(pid: int) -> int:
    """Return the bytes that a process has held in memory at most; 0 if it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def taken(folder: Path, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run took, and all that the formulas need to say it.

    Raises:
        ValueError: a stage of the run was not timed or not seen.
    """
    config = json.loads((folder / "data/model/config.json").read_text(encoding="utf-8"))
    given = params.read_yaml(folder / "params.yaml")
    seconds, disk = _seconds(folder), _disk(folder)
    lacking = [name for name in stages.WORK if name not in seconds or name not in seen["memory"]]
    if lacking:
        raise ValueError(
            f"{folder}: {', '.join(lacking)} did not run under this benchmark; take a clone in "
            "which nothing has run, and no cache that has its results"
        )
    return {
        "model": {name: config[name] for name in KEPT},
        "softcap": bool(config.get("final_logit_softcapping")),
        "parameters": {name: given[name] for name in SECTIONS},
        "counts": vars(found_size(folder)),
        "machine": {name: round(fmean(one[name] for one in seen["rates"])) for name in RATES},
        "stages": [
            {
                "stage": name,
                "seconds": round(seconds[name], 1),
                "memory_bytes": seen["memory"][name],
                "disk_bytes": disk[name],
            }
            for name in stages.WORK
        ],
        "other_seconds": round(sum(seconds.values()) - sum(seconds[n] for n in stages.WORK), 1),
    }


def _seconds(folder: Path) -> dict[str, float]:
    """Return the seconds of each stage, of all languages together."""
    found: dict[str, float] = {}
    for stage, seconds in stage_times.recorded(folder / WORK_FOLDER).items():
        name = stage.partition("@")[0]
        found[name] = found.get(name, 0.0) + seconds
    return found


def _disk(folder: Path) -> dict[str, int]:
    """Return the bytes of each stage's outputs and of what it keeps for a later run.

    `dvc.lock` also has stages of languages that are not in this run.
    """
    found: dict[str, int] = {}
    locked = params.read_yaml(folder / "dvc.lock")["stages"]
    for stage in stage_times.recorded(folder / WORK_FOLDER):
        name = stage.partition("@")[0]
        found[name] = found.get(name, 0) + sum(out["size"] for out in locked[stage]["outs"])
    for path in (folder / WORK_FOLDER).rglob("*"):
        name = path.relative_to(folder / WORK_FOLDER).parts[0].partition(" ")[0]
        if path.is_file() and name in found:
            found[name] += path.stat().st_size
    return found


def main(name: str, folder: Path) -> None:
    """Run what has not run, and write the figures beside those of other runs."""
    kept = folder / WATCHED
    if not kept.exists():
        found = watched(folder)
        kept.write_text(json.dumps(found) + "\n", encoding="utf-8")
    seen = json.loads(kept.read_text(encoding="utf-8"))
    runs = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    runs[name] = taken(folder, seen)
    OUT.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
