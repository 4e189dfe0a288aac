"""How long each stage took when it last ran; kept on this machine, in no output of a stage.

It imports little, because the launcher of every stage reads it.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from neuron_atlas.pipeline.work_folder import FOLDER

FILE = "stage_times.json"


class StageTime(NamedTuple):
    """Seconds that a stage took, those of the time before if there was one, and its run of DVC."""

    seconds: float
    before: float | None
    run: str


def record(stage: str, seconds: float, folder: Path = FOLDER, *, run: str = "") -> None:
    """Keep how long a stage took, in place of what it took before.

    A folder that cannot be written to is no error: the times serve forecasts alone.

    Args:
        stage: As DVC names it, such as `recall@fr`.
        seconds: At least 0.
        folder: Where the file of times is.
        run: Names the run of DVC that the stage belonged to; see `of_run`.
    """
    content = _read(folder)
    times = _times(content)
    before = times[stage].seconds if stage in times else None
    times[stage] = StageTime(round(seconds, 3), before, run)
    stages = {name: time._asdict() for name, time in times.items()}
    _write(folder, {**content, "stages": stages})


def recorded(folder: Path = FOLDER) -> dict[str, float]:
    """Return the seconds that each stage took when it last ran; empty if none was recorded."""
    return {stage: time.seconds for stage, time in _times(_read(folder)).items()}


def of_run(run: str, folder: Path = FOLDER) -> dict[str, StageTime]:
    """Return the stages that a run of DVC has finished so far."""
    return {stage: time for stage, time in _times(_read(folder)).items() if time.run == run}


def plan(run: str, stages: Collection[str], folder: Path = FOLDER) -> None:
    """Keep which stages a run of DVC is expected to run, in place of an earlier run's."""
    _write(folder, {**_read(folder), "plan": {"run": run, "stages": sorted(stages)}})


def planned(run: str, folder: Path = FOLDER) -> set[str]:
    """Return what `plan` kept for this run; empty if it kept nothing."""
    kept = _read(folder).get("plan")
    if not isinstance(kept, dict) or kept.get("run") != run:
        return set()
    return set(map(str, kept.get("stages", ())))


def _times(content: Mapping[str, Any]) -> dict[str, StageTime]:
    """Return what is said of each stage, and nothing where another program wrote something else."""
    stages = content.get("stages")
    found = {}
    for stage, entry in stages.items() if isinstance(stages, dict) else ():
        with suppress(KeyError, TypeError, ValueError):
            before = None if entry["before"] is None else float(entry["before"])
            found[stage] = StageTime(float(entry["seconds"]), before, str(entry["run"]))
    return found


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(folder: Path, content: Mapping[str, object]) -> None:
    """Write the file whole or not at all, if the folder can be written to."""
    temporary = folder / f".{FILE}.{os.getpid()}.part"  # other processes may write it too
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(folder / FILE)
    except OSError:
        return
