"""Which runs to compare: experiments and commits by name, and the workspace."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev

WORKSPACE = "workspace"
HEAD = "HEAD"
State = Literal["finished", "running", "queued", "failed"]


@dataclass(frozen=True)
class Choice:
    """A run to compare.

    Attributes:
        name: What it is called: an experiment's name, or whatever git calls a commit.
        rev: Its commit, or `workspace`; of what has not finished, the commit that it started from
            with its parameters.
        state: Where an experiment of the queue stands.
        experiment: Whether it is an experiment.
    """

    name: str
    rev: str
    state: State = "finished"
    experiment: bool = False


def choices(repo: Repo, names: Sequence[str]) -> list[Choice]:
    """Return the runs of these names, or all that belong to the current commit.

    Args:
        repo: The repository.
        names: Experiments, commits, or `workspace`; none means the commit HEAD, the workspace, and
            the experiments that were made from this commit, those of the queue included.

    Raises:
        ValueError: a name is unknown or has several meanings; the message lists what there is.
    """
    if names:
        return [_named(repo, name) for name in dict.fromkeys(names)]
    head = repo.scm.get_rev()
    return [Choice(HEAD, head), Choice(WORKSPACE, WORKSPACE), *_experiments(repo, head)]


def _experiments(repo: Repo, head: str | None = None) -> list[Choice]:
    """Return the experiments made from a commit, or all there are: finished ones first."""
    by_baseline = repo.experiments.ls(all_commits=True)
    finished = {
        name: Choice(name, rev, experiment=True)
        for baseline, found in by_baseline.items()
        for name, rev in found
        if head in (None, baseline)
    }
    tasks = {c.name: c for c in _tasks(repo, head) if c.name not in finished}
    return [*finished.values(), *tasks.values()]


def _tasks(repo: Repo, head: str | None) -> Iterator[Choice]:
    """Yield what is in DVC's queue and has not finished; of one name the last is meant."""
    queue = repo.experiments.celery_queue
    states: tuple[State, State] = ("queued", "running")
    for state, entries in zip(states, (queue.iter_queued(), queue.iter_active()), strict=True):
        for entry in entries:
            if head in (None, entry.baseline_rev):
                yield Choice(_task_name(entry), entry.stash_rev, state, experiment=True)
    for done in queue.iter_failed():
        if head in (None, done.entry.baseline_rev):
            yield Choice(_task_name(done.entry), done.entry.stash_rev, "failed", experiment=True)


def _task_name(entry: object) -> str:
    """Return a task's name, or the start of its commit if it has none."""
    return str(getattr(entry, "name", None) or str(getattr(entry, "stash_rev", ""))[:7])


def _named(repo: Repo, name: str) -> Choice:
    if name == WORKSPACE:
        return Choice(WORKSPACE, WORKSPACE)
    known = {choice.name: choice for choice in _experiments(repo)}
    try:
        rev = _commit(repo, name)
    except RevError as error:
        if name in known and known[name].state != "finished":
            return known[name]
        said = "has several meanings" if "ambiguous" in str(error) else "is not known"
        there = ", ".join([HEAD, WORKSPACE, *known])
        raise ValueError(
            f"the run {name!r} {said}; expected a commit, or one of: {there}"
        ) from error
    return Choice(name, rev, experiment=name in known and known[name].rev == rev)


def _commit(repo: Repo, name: str) -> str:
    if not name:
        raise RevError("an empty name")  # git would take it for HEAD
    return str(resolve_rev(repo.scm, name))
