"""Read what a run says: its parameters, its numbers, its neuron sets, and whose they are."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from neuron_atlas.comparison import stored_sets
from neuron_atlas.comparison.choice import WORKSPACE, Choice
from neuron_atlas.comparison.flattening import flattened
from neuron_atlas.comparison.ownership import LAST, Ownership, judged, unreadable
from neuron_atlas.comparison.recorded import PARAMS, StageRecord, stages
from neuron_atlas.comparison.stored_sets import NotInCache, StoredSets
from neuron_atlas.comparison.tracked_files import json_mapping, yaml_mapping
from neuron_atlas.statistics.estimates import Estimate

SUMMARY = "metrics/summary.json"


@dataclass(frozen=True)
class Finding:
    """What a run says of a claim.

    Attributes:
        verdict: The word.
        effect: With its 95 % interval, in the claim's unit; None if nothing could be measured.
        mde: The smallest effect that it would have found, same unit; None if unknown.
    """

    verdict: str
    effect: Estimate | None = None
    mde: float | None = None


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        choice: Its name and its commit.
        ownership: Whose results it holds.
        parameters: By dotted name.
        inputs: The hashes of code and of files of ours with which its stages ran, by path.
        findings: By claim; empty if they are not its own, or there are none.
        known: Known facts and all facts, by language; empty likewise.
        sets: Its relation neurons, or why they are not here.
        unreadable: Why nothing of it could be read, or an empty text.
    """

    choice: Choice
    ownership: Ownership = field(default_factory=Ownership)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    findings: Mapping[str, Finding] = field(default_factory=dict)
    known: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sets: StoredSets | str = ""
    unreadable: str = ""

    @property
    def own(self) -> bool:
        """Whether there are numbers, and they are its own."""
        return bool(self.findings)

    def told(self) -> str:
        """Return where the run stands and whose numbers it has, in words."""
        if self.unreadable:
            return self.unreadable
        if self.choice.state != "finished":
            name = shlex.quote(self.choice.name)
            asked = f": `dvc queue logs {name}`" if self.choice.state == "failed" else ""
            return f"{self.choice.state}, without numbers{asked}"
        return self.ownership.told()


def read_run(repo: Repo, choice: Choice) -> Run:
    """Read a run; whatever cannot be read is said in it.

    Args:
        repo: The repository.
        choice: Which run.
    """
    try:
        with repo.switch(choice.rev):
            return _read(repo, choice)
    except (DvcException, SCMError) as error:
        return Run(choice, unreadable=unreadable(error))
    except ValueError as error:
        return Run(choice, unreadable=" ".join(str(error).split()))


def _read(repo: Repo, choice: Choice) -> Run:
    """Read a run at the revision of the repository."""
    parameters = flattened(yaml_mapping(repo, PARAMS))
    if choice.state != "finished":
        return Run(choice, parameters=parameters)
    records = stages(repo, LAST)
    ownership = judged(records)
    findings, known = _numbers(json_mapping(repo, SUMMARY)) if ownership.own else ({}, {})
    return Run(
        choice,
        ownership,
        parameters,
        _inputs(records),
        findings,
        known,
        _sets(repo, choice, records, ownership),
    )


def _inputs(records: Sequence[StageRecord]) -> dict[str, str]:
    """Return the hashes that stages read each file of ours with: mostly one, the start of it."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for path, md5 in record.inputs.items():
            found.setdefault(path, {})[md5[:7]] = None
    return {path: " ".join(sorted(hashes)) for path, hashes in sorted(found.items())}


def _numbers(
    summary: Mapping[str, Any],
) -> tuple[dict[str, Finding], dict[str, tuple[int, int]]]:
    """Return the findings by claim, and the known facts and all facts by language.

    Raises:
        ValueError: the summary is not what the stage `report` writes.
    """
    try:
        by_language = summary["facts"]["by_language"]
        return (
            {str(claim): _finding(verdict) for claim, verdict in summary["verdicts"].items()},
            {str(c): (int(n["n_known"]), int(n["n_facts"])) for c, n in by_language.items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{SUMMARY} is not what the stage {LAST} writes: {error!r}") from error


def _finding(verdict: Mapping[str, Any]) -> Finding:
    mean, low, high, mde = (_number(verdict.get(n)) for n in ("effect", "low", "high", "mde"))
    measured = mean is not None and low is not None and high is not None
    effect = Estimate(mean, low, high) if measured else None  # type: ignore[arg-type]
    return Finding(str(verdict["verdict"]), effect, mde)


def _number(value: object) -> float | None:
    """Return a finite number, and None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def _sets(
    repo: Repo, choice: Choice, records: Sequence[StageRecord], ownership: Ownership
) -> StoredSets | str:
    """Return a run's sets, or why they are not here and what fetches them."""
    if not ownership.current(stored_sets.STAGE):
        return f"stopped before {ownership.stopped_before}"
    try:
        return stored_sets.stored_sets(repo, records)
    except NotInCache as error:
        return f"{error} is not in the cache; `{fetching(choice)}` fetches it"
    except (KeyError, TypeError, ValueError, OSError) as error:
        return f"{stored_sets.FOLDER} cannot be read: {error}"


def fetching(choice: Choice) -> str:
    """Return the command that fetches a run's relation neurons."""
    if choice.rev == WORKSPACE:
        return f"dvc fetch {stored_sets.FOLDER}"
    if choice.experiment:
        return f"dvc exp pull <git remote> {shlex.quote(choice.name)}"
    return f"dvc fetch --all-commits {stored_sets.FOLDER}"
