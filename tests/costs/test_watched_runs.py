"""What is said of whole runs that were watched, and how they were watched."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import list_costs
import psutil
import pytest
from ruamel.yaml import YAML

import run_costs
from neuron_atlas.costs import stages
from neuron_atlas.pipeline import stage_times
from repository import ROOT

RUNS: dict[str, Any] = json.loads((ROOT / "benchmarks/run_costs.json").read_text("utf-8"))
WITHIN = 0.3  # of what a run took


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("what", ["seconds", "memory", "disk"])
def test_what_a_run_takes_is_said_within_three_tenths(name: str, what: str) -> None:
    took, said = list_costs.took_and_said(RUNS[name])[what]
    assert said == pytest.approx(took, rel=WITHIN)


def test_runs_of_three_sizes_and_two_models_were_watched() -> None:
    took = [list_costs.took_and_said(run)["seconds"][0] for run in RUNS.values()]
    assert len(took) == 3
    assert max(took) > 5 * min(took)
    assert len({run["model"]["model_type"] for run in RUNS.values()}) == 2
    for run in RUNS.values():
        assert [one["stage"] for one in run["stages"]] == [*stages.WORK]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository in which all stages ran in English alone, and some in Chinese before."""
    work = tmp_path / ".work"
    work.mkdir()
    locked = {}
    for name in stages.WORK:
        stage = f"{name}@en" if name in stages.PER_LANGUAGE else name
        stage_times.record(stage, 2.0, work, run="this")
        locked[stage] = {"outs": [{"path": "a", "size": 10}, {"path": "b", "size": 5}]}
    locked["answers@zh"] = {"outs": [{"path": "c", "size": 7000}]}
    stage_times.record("check", 3.0, work, run="this")
    locked["check"] = {"outs": [{"path": "d", "size": 1}]}
    with (tmp_path / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"schema": "2.0", "stages": locked}, file)
    kept = work / "relation_neurons en-123"
    kept.mkdir()
    (kept / "scores").write_bytes(b"x" * 100)
    return tmp_path


def test_disk_is_that_of_the_languages_that_ran_and_of_what_is_kept(folder: Path) -> None:
    found = run_costs._disk(folder)
    assert found["answers"] == 15
    assert found["relation_neurons"] == 115
    assert found["check"] == 1


def test_seconds_are_those_of_all_languages(folder: Path) -> None:
    stage_times.record("answers@fr", 5.0, folder / ".work", run="this")
    assert run_costs._seconds(folder)["answers"] == 7


def test_a_run_of_which_a_stage_was_not_seen_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data/model").mkdir(parents=True)
    (folder / "data/model/config.json").write_text("{}", encoding="utf-8")
    (folder / "params.yaml").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(run_costs, "found_size", lambda _folder: list_costs.SIZE)
    seen = {"memory": dict.fromkeys([*stages.WORK][1:], 1), "rates": []}
    with pytest.raises(ValueError, match="answers did not run under this benchmark"):
        run_costs.taken(folder, seen)


def test_a_stage_is_seen_while_it_runs_with_the_most_that_it_held(tmp_path: Path) -> None:
    wait = "import sys; x = bytearray(90_000_000); del x; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", wait, run_costs.LAUNCHER, "stages/answers.py", "data"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = run_costs._seen(tmp_path)
        assert seen.keys() == {"answers"}
        assert seen["answers"] > 90_000_000
        assert seen["answers"] > psutil.Process(process.pid).memory_info().rss
        assert not run_costs._seen(tmp_path / "elsewhere")
        process.communicate(timeout=60)
    until = time.monotonic() + 60
    while run_costs._seen(tmp_path) and time.monotonic() < until:
        time.sleep(0.1)
    assert run_costs._seen(tmp_path) == {}
    assert run_costs._most(process.pid) == 0


def test_the_memory_of_this_process_is_known() -> None:
    assert run_costs._most(os.getpid()) >= psutil.Process().memory_info().rss
