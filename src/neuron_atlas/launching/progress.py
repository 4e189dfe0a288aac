"""How far a run of DVC has come, in one line as each of its stages begins."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from neuron_atlas.pipeline import stage_times

COSTS = Path(__file__).parents[1] / "stage_costs.json"
ENOUGH = 5.0  # seconds of work, from which on a machine's rate is more than chance


def line(stage: str, run: str) -> str:
    """Say which stage of a run begins, and about how long the run will still take.

    The stages to come are those that `forecast` expected when the run began, or when it came to a
    stage that was not expected.

    Args:
        stage: As DVC names it, such as `recall@fr`.
        run: Names the run; a new name means that nothing of it has been done.
    """
    done = stage_times.of_run(run)
    planned = stage_times.planned(run)
    if stage not in planned:
        planned = {stage, *done, *_to_run(stage, done)}
        stage_times.plan(run, planned)
    place = f"stage {len(done.keys() - {stage}) + 1} of about {len(planned | done.keys())}, {stage}"
    return f"{place}{_left({stage, *(planned - done.keys())}, done)}"


def _to_run(stage: str, done: Collection[str]) -> set[str]:
    from neuron_atlas.launching import forecast  # parses YAML, which takes as long as a small stage

    # A repository that is not as expected has no forecast; DVC says what is wrong.
    with suppress(Exception):
        return forecast.to_run(stage, done)
    return set()


def _left(stages: set[str], done: Mapping[str, stage_times.StageTime]) -> str:
    """Say how long stages will take, at this run's rate; nothing if nothing is known of one."""
    costs, usual = _costs(), stage_times.recorded()
    known = [usual.get(name, _cost(name, costs)) for name in stages]
    if not all(known):
        return ""
    before = {name: time.before or _cost(name, costs) for name, time in done.items()}
    expected = sum(before.values())
    if expected < ENOUGH:
        where = "" if stages <= usual.keys() else " on a machine like that of docs/performance.md"
        return f"; about {_duration(sum(known))} left{where}"
    taken = sum(time.seconds for name, time in done.items() if before[name])
    return f"; about {_duration(sum(known) * taken / expected)} left"


def _cost(name: str, costs: Mapping[str, float]) -> float:
    """Return what is known of a stage, for whichever language; 0 if nothing is."""
    return costs.get(name.split("@")[0], 0.0)


def _costs() -> dict[str, float]:
    """Return the seconds that each stage, or its part for one language, takes elsewhere."""
    costs = json.loads(COSTS.read_text(encoding="utf-8"))
    return {name: float(seconds) for name, seconds in costs.items()}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
