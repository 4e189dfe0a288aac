"""Run DVC experiments in its queue, and find those again that have run.

All state is DVC's: an experiment is known by its name, its parameters and the code that made it. So
whoever calls may be killed at any time; workers go on, and the next call waits for them.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from dvc.repo import Repo
from dvc.repo.experiments.refs import ExpRefInfo
from dvc.utils.hydra import apply_overrides

import quick
from neuron_atlas.pipeline import params

CODE = ("dvc.yaml", "src", "stages")  # what an experiment's results depend on besides parameters
POLL = 15.0  # seconds
STALLED = 4  # looks in a row at which tasks wait and none runs, after which a worker is started
NOTICED = 2.0  # seconds in which a worker notices that its task's process has ended
DVC = (sys.executable, "-m", "dvc")

Word = Literal["finished", "running", "queued", "failed", "not run"]


@dataclass(frozen=True)
class Experiment:
    """An experiment to run.

    Attributes:
        name: Its name in DVC.
        settings: What differs from params.yaml, as in `tools/quick.yaml`: `languages` are all there
            are, every other key is one of params.yaml.
        targets: Stages to stop after; none runs everything.
    """

    name: str
    settings: Mapping[str, Any]
    targets: tuple[str, ...] = ()

    def overrides(self) -> list[str]:
        """Return what `dvc exp run -S` takes."""
        return quick.overrides(self.settings, params.read_yaml(params.PARAMS)[quick.LANGUAGES])

    def parameters(self) -> dict[str, Any]:
        """Return the content that params.yaml has in the experiment."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "params.yaml"
            copy.write_bytes(params.PARAMS.read_bytes())
            apply_overrides(copy, self.overrides())
            return params.read_yaml(copy)


@dataclass(frozen=True)
class State:
    """Where an experiment stands.

    Attributes:
        word: In a word.
        rev: The commit of its results, or of its task in the queue.
        said: What failed, or the stage that runs.
    """

    word: Word
    rev: str = ""
    said: str = ""

    @property
    def waits(self) -> bool:
        """Whether there is something to wait for."""
        return self.word in ("running", "queued")


def states(experiments: Iterable[Experiment]) -> dict[str, State]:
    """Return where each experiment stands, by name; other parameters or code count as not run."""
    with Repo() as repo:
        tasks = repo.experiments.celery_queue.status()  # first: a task's end brings its results
        made = repo.experiments.ls(all_commits=True)
        results = [result for found in made.values() for result in found]
        return {e.name: _state(repo, e, tasks, results) for e in experiments}


def _state(
    repo: Repo,
    experiment: Experiment,
    tasks: Sequence[Mapping[str, Any]],
    results: Sequence[tuple[str, str]],
) -> State:
    wanted = experiment.parameters()
    for name, rev in results:
        if name == experiment.name and _made_by(rev, wanted):
            return State("finished", rev)
    own = [t for t in tasks if t["name"] == experiment.name and _made_by(t["rev"], wanted)]
    by_word = {str(task["status"]).lower(): task["rev"] for task in own}
    if "running" in by_word:
        return State("running", by_word["running"], _stage(_log(repo, by_word["running"])))
    if "queued" in by_word:
        return State("queued", by_word["queued"])
    if "failed" in by_word:
        return State("failed", by_word["failed"], reason(_log(repo, by_word["failed"])))
    return State("not run")


def _made_by(rev: str, parameters: Mapping[str, Any]) -> bool:
    """Say whether a commit has these parameters, and the code of the working copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "params.yaml"
        copy.write_text(committed(rev, "params.yaml"), encoding="utf-8")
        same = params.read_yaml(copy) == parameters
    compared = ["git", "diff", "--quiet", rev, "--", *CODE]
    return same and subprocess.run(compared, check=False).returncode == 0


def committed(rev: str, path: str) -> str:
    """Return a file's text as it is in a commit."""
    command = ["git", "show", f"{rev}:{path}"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def _log(repo: Repo, rev: str) -> str:
    """Return what a task has said; nothing if it never came to run a stage."""
    info = repo.experiments.celery_queue.proc.get(rev)
    if info is None or info.stdout is None or not Path(info.stdout).exists():
        return ""
    return Path(info.stdout).read_text(encoding="utf-8", errors="replace")


def _stage(log: str) -> str:
    found = re.findall(r"Running stage '([^']+)'", log)
    return found[-1] if found else ""


def reason(log: str) -> str:
    """Return why a run failed, in one line: its last stage, and the first error that it told."""
    said = [line.strip() for line in log.splitlines() if re.match(r"\s*error: ", line)]
    said += [line.strip() for line in log.splitlines() if line.startswith("ERROR: ")]
    stage = _stage(log)
    text = said[0] if said else "it was stopped, or failed before its first stage"
    words = text.partition(": ")[2] if said else text
    return f"{stage}: {words}" if stage else words


def complete(
    experiments: Sequence[Experiment], say: Callable[[str], object], *, poll: float = POLL
) -> dict[str, State]:
    """Run what has not finished, one after the other, and return where each stands then.

    Args:
        experiments: What to run; one that failed before is tried again.
        say: Told what has changed, a line each.
        poll: Seconds between two looks.
    """
    if gone := lost():
        time.sleep(NOTICED)
        bury(gone & lost())
    before = states(experiments)
    for experiment in experiments:
        if not (before[experiment.name].waits or before[experiment.name].word == "finished"):
            queue(experiment)
    found = states(experiments)
    if any(state.waits for state in found.values()):
        start()
        found = _waited(experiments, say, poll)
    return found


def _waited(
    experiments: Sequence[Experiment], say: Callable[[str], object], poll: float
) -> dict[str, State]:
    known: dict[str, State] = {}
    stalled, gone = 0, set[str]()
    while True:
        gone, before = lost(), gone
        bury(gone & before)
        found = states(experiments)
        for name, state in found.items():
            if known.get(name) != state:
                say(" ".join(part for part in (f"{name}:", state.word, state.said) if part))
        known = found
        words = {state.word for state in found.values()}
        if not words & {"running", "queued"}:
            return found
        stalled = 0 if "running" in words else stalled + 1
        if stalled == STALLED:
            stalled = 0
            start()
        time.sleep(poll)


def queue(experiment: Experiment) -> None:
    """Put an experiment into the queue, in place of another of its name made from this commit."""
    with Repo() as repo:
        tasks = repo.experiments.celery_queue.status()
        if any(t["name"] == experiment.name and t["status"] == "Running" for t in tasks):
            raise SystemExit(
                f"error: {experiment.name} runs with other parameters or code; wait for it, or "
                f"end it with `dvc queue kill {experiment.name}`"
            )
        old = [t["rev"] for t in tasks if t["name"] == experiment.name]
        if old:
            repo.experiments.celery_queue.remove(old)
        head = repo.scm.get_rev()
        if experiment.name in {name for name, _ in repo.experiments.ls().get(head, [])}:
            repo.experiments.remove([str(ExpRefInfo(head, experiment.name))])
    command = [*DVC, "exp", "run", "--quiet", "--queue", "--name", experiment.name]
    for override in experiment.overrides():
        command += ["--set-param", override]
    subprocess.run([*command, *experiment.targets], check=True)


def start() -> None:
    """Start a worker if there is none; it keeps its output open, so that has to be elsewhere.

    It ends by itself once the queue is empty. `dvc queue stop` without one would end the next.
    """
    command = [*DVC, "queue", "start", "--jobs", "1"]
    quiet = subprocess.DEVNULL
    subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, check=True)


def lost() -> set[str]:
    """Return the tasks whose process is gone, by revision; DVC takes them for running for ever.

    So are those that a worker had taken and not begun when it was killed. A process that has just
    ended is gone too, before its worker has noticed: look twice.
    """
    with Repo() as repo:
        tasks = repo.experiments.celery_queue
        infos = {entry.stash_rev: tasks.proc.get(entry.stash_rev) for entry in tasks.iter_active()}
        taken = {rev for rev, info in infos.items() if info is None}
        if taken and tasks.worker_status():
            taken = set()
    running = {rev: i.pid for rev, i in infos.items() if i is not None and i.returncode is None}
    return taken | {rev for rev, pid in running.items() if not _lives(pid)}


def bury(revs: Iterable[str]) -> None:
    """Mark running tasks as failed."""
    with Repo() as repo:
        for rev in revs:
            repo.experiments.celery_queue.kill([rev], force=True)


def _lives(pid: int) -> bool:
    """Say whether a process is there, and not one that has ended and waits to be collected."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
