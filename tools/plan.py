"""Command: print which stages a change would run again and how long they took, running nothing.

`make plan` looks at the working copy as it is; `make plan SET='relation_neurons.k=200'` at what it
would be with other parameters, written as for `dvc exp run -S`, without changing params.yaml.

A stage is listed if something that it reads has changed or may change, because a stage before it is
listed. So the list is the most that can run: what a stage writes anew may be the same bytes, and
results of earlier runs that DVC has kept are fetched and not computed.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

from dvc.dependency import Dependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.hydra import apply_overrides

from neuron_atlas.checks import parameters
from neuron_atlas.pipeline import params, stage_times
from neuron_atlas.pipeline.work_folder import FOLDER

PARAMS = "params.yaml"
DESCRIBED = ("dvc.yaml", "dvc.lock", PARAMS)
CONSTANT = "constant"  # in `meta` of dvc.yaml: the stage always writes the same bytes
Languages = frozenset[str]


@dataclass(frozen=True)
class Rerun:
    """A stage that would run again.

    Attributes:
        why: What changed, or the stage whose result may change.
        languages: The languages whose results may change.
    """

    why: str
    languages: Languages


def plan(repo: Repo, changed: Mapping[str, Sequence[str]]) -> dict[str, Rerun]:
    """Return the stages that would run again, in the order in which they run.

    Args:
        repo: A repository with the dvc.yaml, dvc.lock and params.yaml to plan for; it need not
            hold any data.
        changed: By stage, what differs in the working copy besides parameters.
    """
    graph = repo.index.graph
    order = TopologicalSorter({stage: set(graph.successors(stage)) for stage in graph})
    languages = frozenset(params.load_languages(Path(repo.root_dir) / PARAMS))
    found: dict[str, Rerun] = {}
    stages: list[PipelineStage] = []
    for stage in order.static_order():
        reasons = [
            *_own(stage, changed.get(stage.name, ()), languages),
            *_upstream(stage, [s for s in stages if s.name in found], found, languages),
        ]
        stages.append(stage)
        if reasons:
            reached = frozenset[str]().union(*(reason.languages for reason in reasons))
            own = _cell(stage)
            found[stage.name] = Rerun(reasons[0].why, frozenset({own}) if own else reached)
    return found


def _cell(stage: PipelineStage) -> str:
    """Return the language of a stage that works on one, else an empty text."""
    return str(stage.name).partition("@")[2]


def _own(stage: PipelineStage, others: Sequence[str], languages: Languages) -> Iterator[Rerun]:
    """Yield why a stage would run whatever the others do."""
    for name in others:
        yield Rerun(name, languages)
    for dep in stage.deps:
        if Path(dep.fs_path).name == PARAMS:
            yield from _parameters(dep, languages)


def _parameters(dep: Dependency, languages: Languages) -> Iterator[Rerun]:
    """Yield the parameters that differ from those of the last run.

    Of the languages that are kept, results stay the same when others come or go.
    """
    status = dep.status().get(PARAMS) or {}
    if isinstance(status, str):  # of the whole file, or of a stage that never ran
        yield Rerun(f"{PARAMS} {status}", languages)
        return
    for key in status:
        before = dep.hash_info.value.get(key, {})
        yield Rerun(key, languages ^ frozenset(before) if key == "languages" else languages)


def _upstream(
    stage: PipelineStage,
    before: Sequence[PipelineStage],
    found: Mapping[str, Rerun],
    languages: Languages,
) -> Iterator[Rerun]:
    """Yield the stages before that would run and whose result the stage reads."""
    for other in before:
        if (other.meta or {}).get(CONSTANT):
            continue
        extent = found[other.name].languages
        for out in other.outs:
            for dep in stage.deps:
                reached = _reached(dep.fs_path, out.fs_path, extent, languages)
                if reached is not None:
                    yield Rerun(f"after {other.name}", reached)


def _reached(dep: str, out: str, extent: Languages, languages: Languages) -> Languages | None:
    """Return the languages whose results may differ in a dep when an out is written anew.

    None if nothing in the dep can differ: it is elsewhere, or it is the part of a language whose
    results stay the same.
    """
    read, written = PurePosixPath(dep), PurePosixPath(out)
    if read == written or read in written.parents:
        return extent
    if written not in read.parents:
        return None
    part = read.relative_to(written).parts[0].partition(".")[0]
    if part not in languages:
        return extent
    return extent & {part} or None


def differences(status: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Return what `dvc status` says of each stage, without parameters, in few words."""
    # From another folder DVC puts the path of dvc.yaml and a colon before a stage's name.
    found = {name.rpartition(":")[2]: list(_words(what)) for name, what in status.items()}
    return {stage: words for stage, words in found.items() if words}


def _words(entries: Sequence[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):  # "changed command"
            yield entry
            continue
        for name, what in (item for part in entry.values() for item in part.items()):
            if name != PARAMS:
                yield f"{name} {what}"


def described(root: Path, folder: Path, overrides: Sequence[str]) -> Repo:
    """Make a repository in `folder` that has the stages and parameters of another, and no data."""
    for name in DESCRIBED:
        if (root / name).exists():
            shutil.copy2(root / name, folder)
    if overrides:
        apply_overrides(folder / PARAMS, list(overrides))
    (folder / ".dvc").mkdir()
    return Repo(str(folder), config={"core": {"no_scm": True, "site_cache_dir": f"{folder}/.site"}})


def table(found: Mapping[str, Rerun], seconds: Mapping[str, float], n_stages: int) -> Iterator[str]:
    """Yield the lines to print: the stages, how long each took last time, and the sum."""
    width = max(map(len, found), default=0)
    times = {stage: _seconds(stage, seconds) for stage in found}
    for stage, rerun in found.items():
        yield f"{stage:{width}}  {_shown(times[stage], stage in seconds):>8}  {rerun.why}"
    known = [time for time in times.values() if time is not None]
    untimed = f", and {len(found) - len(known)} never timed" if len(known) < len(found) else ""
    took = f": {sum(known):.0f} s when they last ran{untimed}" if found else ""
    yield f"at most {len(found)} of {n_stages} stages would run{took}"


def _seconds(stage: str, seconds: Mapping[str, float]) -> float | None:
    """Return how long a stage took; of a language that has not run, the mean over the others."""
    name = stage.partition("@")[0]
    alike = [time for other, time in seconds.items() if other.partition("@")[0] == name]
    return seconds.get(stage, fmean(alike) if alike else None)


def _shown(time: float | None, measured: bool) -> str:
    return "?" if time is None else f"{'' if measured else '~'}{time:.1f} s"


def main(overrides: Sequence[str], root: Path = Path()) -> list[str]:
    """Return the lines of the plan for a repository, with some parameters set otherwise.

    Raises:
        ValueError: a parameter would be refused.
        DvcException: DVC cannot read the repository or an override.
    """
    with Repo(str(root)) as workspace:
        changed = differences(workspace.status())
    with (
        tempfile.TemporaryDirectory() as folder,
        described(root, Path(folder), overrides) as repo,
    ):
        parameters.check(Path(folder) / PARAMS)
        seconds = stage_times.recorded(root / FOLDER)
        return list(table(plan(repo, changed), seconds, len(repo.index.stages)))


if __name__ == "__main__":
    try:
        print(*main(sys.argv[1:]), sep="\n")
    except (DvcException, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
