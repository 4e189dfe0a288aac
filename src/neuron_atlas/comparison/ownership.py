"""Whose numbers a commit holds: those of its own parameters, or another run's.

Git tracks the metrics, so that an experiment which stopped at a stage, or a run that was killed,
still has those of the run before. `dvc.lock` tells: each stage records what it read and wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from neuron_atlas.comparison.recorded import Content, StageRecord, overlap, stages

LAST = "report"  # the stage that writes the metrics and the page


@dataclass(frozen=True)
class Ownership:
    """Whether the results of a commit or of the workspace are its own.

    Attributes:
        behind: By stage that would have to run again, why, in words; in the order of running.
        waiting: The stages after those, which read what they would write.
        changed_inputs: Code and other files of ours that have changed since the stages ran. The
            results are those of the parameters all the same.
        by_size: What was compared by its size alone, since its listing is not in the cache.
        unchecked: What could not be compared at all, for the same reason.
    """

    behind: Mapping[str, str] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    changed_inputs: tuple[str, ...] = ()
    by_size: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether the metrics and the page are its own."""
        return not self.behind

    @property
    def stopped_before(self) -> str | None:
        """The first stage that is behind."""
        return next(iter(self.behind), None)

    def current(self, stage: str) -> bool:
        """Say whether the outputs of a stage are its own."""
        return stage not in self.behind and stage not in self.waiting

    def told(self) -> str:
        """Return whose numbers these are, in words."""
        first = self.stopped_before
        if first is None:
            return "its own"
        return f"from another run: stopped before {first} ({self.behind[first]})"


def of_workspace(root: Path = Path()) -> Ownership:
    """Return whether the metrics and the page that are in the workspace are its own.

    Args:
        root: The repository's folder.

    Raises:
        ValueError: the folder is not a repository's, or DVC cannot read it.
    """
    try:
        with Repo(str(root)) as repo:
            if Path(repo.root_dir).resolve() != root.resolve():
                raise ValueError(f"{root} is not the root of a DVC repository")
            return judged(stages(repo, LAST))
    except DvcException as error:
        raise ValueError(unreadable(error)) from error


def unreadable(error: Exception) -> str:
    """Say in one line what DVC could not read, and what to do."""
    said = " ".join(str(error).split())
    return f"DVC cannot read it: {said}; `make mend` repairs dvc.lock"


def judged(records: Sequence[StageRecord]) -> Ownership:
    """Judge stages by what they record.

    A stage is behind if it never ran, ran with another command or with other parameters, or read
    something else than what the stages before it recorded that they wrote; the last one also if an
    output that is there is not what it wrote. The results are own if no stage is behind. Changed
    code is told apart: a comment changes it too.

    Args:
        records: A stage and all before it, in the order in which they run.
    """
    written: dict[str, Content] = {}
    behind: dict[str, str] = {}
    waiting: set[str] = set()
    doubts = _Doubts()
    for record in records:
        why = next(_problems(record, written, doubts), None)
        if why is not None:
            behind[record.name] = why
        if any(name in behind or name in waiting for name in record.upstream):
            waiting.add(record.name)
        written |= record.written
    return Ownership(
        behind,
        frozenset(waiting),
        tuple(dict.fromkeys(path for record in records for path in record.changed_inputs)),
        tuple(doubts.by_size),
        tuple(doubts.unchecked),
    )


@dataclass
class _Doubts:
    """Paths that were compared by size, or not at all."""

    by_size: dict[str, None] = field(default_factory=dict)
    unchecked: dict[str, None] = field(default_factory=dict)


def _problems(
    record: StageRecord, written: Mapping[str, Content], doubts: _Doubts
) -> Iterator[str]:
    """Yield why a stage is behind."""
    if not record.ran:
        yield "it has not run"
        return
    if not record.same_command:
        yield "its command has changed"
    for name in record.changed_parameters:
        yield f"it ran with another {name}"
    for path, content in record.read.items():
        outs = {out: made for out, made in written.items() if overlap(path, out)}
        if content is None or not _same(path, content, outs, doubts):
            yield f"it read another {path}"
    for path in record.changed_outputs:
        yield f"{path} is not what it wrote"


def _same(path: str, read: Content, outs: Mapping[str, Content], doubts: _Doubts) -> bool:
    """Say whether a stage read what others wrote; if that cannot be known, note it and say yes."""
    if path in outs:
        return read.md5 == outs[path].md5
    expected = _expected(path, outs)
    if expected is not None:
        return read.md5 == expected
    inside = all(out.startswith(f"{path}/") for out in outs)
    sizes = [(made.size, made.n_files or 1) for made in outs.values()]
    if not inside or read.size is None or any(size is None for size, _ in sizes):
        doubts.unchecked[path] = None
        return True
    doubts.by_size[path] = None
    whole = (sum(size or 0 for size, _ in sizes), sum(n for _, n in sizes))
    return (read.size, read.n_files) == whole


def _expected(path: str, outs: Mapping[str, Content]) -> str | None:
    """Return the hash of a part of what was written, or of a folder of it; None if not known."""
    files: dict[str, str] = {}
    for out, made in outs.items():
        if made.listing is None and made.md5.endswith(".dir"):
            return None
        listing = made.listing if made.listing is not None else {"": made.md5}
        files |= {f"{out}/{name}".rstrip("/"): md5 for name, md5 in listing.items()}
    if path in files:
        return files[path]
    return folder_hash({p[len(path) + 1 :]: md5 for p, md5 in files.items() if overlap(p, path)})


def folder_hash(listing: Mapping[str, str]) -> str:
    """Return the hash that DVC gives to a folder with these files."""
    tree = Tree()  # type: ignore[no-untyped-call]
    for name, md5 in listing.items():
        tree.add(tuple(name.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    return str(tree.hash_info.value)
