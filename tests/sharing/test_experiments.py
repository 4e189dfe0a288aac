"""Experiments: single, in a queue, compared, applied and shared, without copies of the data."""

import csv
import io
import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import remotes
from ledger import Ledger
from neuron_atlas.pipeline import params
from remotes import connect_as
from repository import Clone, cloned, environment, ran, run

GRID = ("-S", "report.top_neurons=3,5", "-S", "report.title=One,Two")
QUEUE_ENDS_WITHIN = 1800  # seconds, after which it hangs; a busy machine is slow


@pytest.fixture(scope="module")
def lab(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository for experiments, whose queue's workers are gone at the end."""
    place = tmp_path_factory.mktemp("lab")
    folder = cloned(origin, place / "lab", cache="own")
    yield remotes.local(place / "remote").connect(folder)
    run(folder, "dvc", "queue", "stop", "--kill")


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the experiments that `dvc exp show` lists."""
    shown = csv.DictReader(io.StringIO(run(folder, "dvc", "exp", "show", "--csv")))
    return [row for row in shown if row["rev"] not in ("workspace", "main", "master")]


def inodes(folder: Path) -> dict[int, int]:
    """Return the size of every file below a folder by its inode; a link adds nothing."""
    found = {}
    for place, _, names in os.walk(folder):  # unlike rglob, it bears folders that vanish
        for name in names:
            with suppress(FileNotFoundError):  # a run that goes on renames and removes files
                about = (Path(place) / name).lstat()
                found[about.st_ino] = 0 if stat.S_ISLNK(about.st_mode) else about.st_size
    return found


def own_bytes(folder: Path, cache: Path) -> int:
    """Return the bytes below a folder that are not the cache's files under another name."""
    shared = inodes(cache)
    return sum(size for inode, size in inodes(folder).items() if inode not in shared)


def test_one_experiment(lab: Path) -> None:
    output = run(lab, "dvc", "exp", "run", "-n", "single", "-S", "effects.negligible=0.001")
    assert ran(output) == {"check", "effects", "report"}
    assert "negligible" in run(lab, "dvc", "exp", "diff", "HEAD", "single")
    (row,) = rows(lab)
    assert row["effects.negligible"] == "0.001"


@dataclass
class Seen:
    """What was seen of runs apart while they were at work."""

    own: int = 0  # most bytes of one run's results that were not the cache's
    linked: set[int] = field(default_factory=set)  # files of the weights that were the cache's

    def look(self, lab: Path) -> None:
        """Look at every run apart that there is now."""
        cache, apart = lab / ".dvc" / "cache", lab / ".dvc" / "tmp" / "exps"
        for data in [*apart.glob("tmp*/data"), *apart.glob("standalone/tmp*/data")]:
            self.own = max(self.own, own_bytes(data, cache))
            self.linked |= inodes(data / "model").keys() & inodes(cache).keys()

    def check(self, lab: Path, ledger: Ledger, what: str) -> None:
        """Check that runs were seen with the weights in place, and that they copied little."""
        whole = sum(inodes(lab / "data").values())
        ledger.measured.append(f"{what} held {self.own:,} bytes of its own; data/ has {whole:,}")
        assert self.linked
        assert self.own < 0.2 * whole


def test_a_run_apart_copies_neither_weights_nor_activations(
    lab: Path, tmp_path: Path, ledger: Ledger
) -> None:
    command = ["dvc", "exp", "run", "--temp", "-n", "apart", "-S", "report.top_neurons=4"]
    seen = Seen()
    with subprocess.Popen(command, cwd=lab, env=environment(), stdout=-3, stderr=-3) as process:
        while process.poll() is None:
            seen.look(lab)
            time.sleep(0.1)
    assert process.returncode == 0
    seen.check(lab, ledger, "a run in a folder apart")
    shutil.copytree(lab / "data", tmp_path / "copy")
    copied = own_bytes(tmp_path / "copy", lab / ".dvc" / "cache")
    assert copied == sum(inodes(tmp_path / "copy").values())  # a copy would have been seen


def test_a_grid_runs_in_a_queue(lab: Path, ledger: Ledger) -> None:
    run(lab, "dvc", "exp", "run", "--queue", *GRID)
    start = ["dvc", "queue", "start", "-j", "2"]  # its workers keep its output open
    subprocess.run(start, cwd=lab, env=environment(), stdout=-3, stderr=-3, check=True)
    deadline, seen = time.monotonic() + QUEUE_ENDS_WITHIN, Seen()
    while (status := run(lab, "dvc", "queue", "status")).count("Success") < 4:
        assert "Failed" not in status, run(lab, "dvc", "queue", "logs", failed(status))
        assert time.monotonic() < deadline, status
        for _ in range(20):
            seen.look(lab)
            time.sleep(0.2)
    seen.check(lab, ledger, "a run of the queue")
    found = {(row["report.title"], row["report.top_neurons"]) for row in rows(lab)}
    assert {("One", "3"), ("One", "5"), ("Two", "3"), ("Two", "5")} <= found
    shown = compared(lab)
    assert max(map(len, shown.splitlines())) <= 120
    assert {row["Experiment"] for row in rows(lab)} <= set(shown.split())
    named = {line.split()[0] for line in shown.splitlines() if line.strip()}
    verdicts = {path.stem for path in (lab / "metrics" / "verdicts").iterdir()}
    assert verdicts | {"report.title", "report.top_neurons"} <= named
    summary = json.loads((lab / "metrics" / "summary.json").read_text(encoding="utf-8"))
    assert verdicts == set(summary["verdicts"])
    assert len(verdicts) == 13


def compared(lab: Path, *names: str) -> str:
    """Return what `make compare` prints."""
    command = ("env", "PYTHONPATH=src", "python", "-m", "neuron_atlas", "compare", *names)
    return run(lab, *command, COLUMNS="120")


def told(lab: Path, *names: str) -> dict[str, dict[str, Any]]:
    """Return by name what `make compare` says of each run."""
    found = json.loads(compared(lab, *names, "--json"))
    return {one["name"]: one for one in found["runs"]}


def test_an_experiment_that_stopped_shows_no_other_run_s_numbers(lab: Path) -> None:
    stopped = ("-n", "stopped", "-S", "relation_neurons.k=7", "relation_neurons")
    output = run(lab, "dvc", "exp", "run", "--temp", *stopped)
    assert "relation_neurons" in ran(output)
    assert "report" not in ran(output)
    held = run(lab, "git", "show", f"{rev_of(lab, 'stopped')}:metrics/summary.json")
    workspace = (lab / "metrics" / "summary.json").read_text(encoding="utf-8")
    assert held == workspace  # positive control: git holds the numbers of another run for it
    found = told(lab, "HEAD", "single", "stopped")
    assert {name: one["own"] for name, one in found.items()} == {
        **{"HEAD": True, "single": True, "stopped": False}
    }
    assert found["stopped"]["stopped_before"].partition("@")[0] in (
        *("interference", "sufficiency", "other_selectors", "selection", "degenerate_neurons"),
    )
    shown = compared(lab, "HEAD", "single", "stopped")
    assert "from another run: stopped before" in shown
    assert "Relation neurons of HEAD and stopped" in shown


def rev_of(lab: Path, name: str) -> str:
    """Return an experiment's commit."""
    return next(row["rev"] for row in rows(lab) if row["Experiment"] == name)


def test_a_run_that_fails_in_the_queue_has_no_numbers(lab: Path) -> None:
    run(lab, "dvc", "exp", "run", "--queue", "-n", "broken", "-S", "relation_neurons.k=99999")
    start = ["dvc", "queue", "start", "-j", "1"]
    subprocess.run(start, cwd=lab, env=environment(), stdout=-3, stderr=-3, check=True)
    deadline = time.monotonic() + QUEUE_ENDS_WITHIN
    while "Failed" not in run(lab, "dvc", "queue", "status"):
        assert time.monotonic() < deadline
        time.sleep(1)
    found = told(lab)
    assert (found["broken"]["state"], found["broken"]["own"]) == ("failed", False)
    assert found["HEAD"]["own"]


def failed(status: str) -> str:
    """Return the name of the first task that failed."""
    return next(line.split()[0] for line in status.splitlines() if "Failed" in line)


def test_an_experiment_is_applied_and_shared(lab: Path, clone: Clone, tmp_path: Path) -> None:
    run(lab, "dvc", "exp", "apply", "single")
    assert params.read_yaml(lab / "params.yaml")["effects"]["negligible"] == 0.001
    assert not ran(run(lab, "dvc", "repro"))
    run(tmp_path, "git", "init", "-q", "--bare", "hub")
    run(lab, "git", "remote", "add", "hub", str(tmp_path / "hub"))
    run(lab, "git", "push", "-q", "hub", "HEAD")
    run(lab, "dvc", "exp", "push", "hub", "single")
    other = connect_as(lab, clone("other"))
    run(other, "git", "remote", "add", "hub", str(tmp_path / "hub"))
    run(other, "dvc", "exp", "pull", "hub", "single")
    run(other, "dvc", "exp", "apply", "single")
    assert not ran(run(other, "dvc", "repro"))
    for name in ("report/index.html", "data/effects/cells.parquet", "data/model/config.json"):
        assert (other / name).read_bytes() == (lab / name).read_bytes()
