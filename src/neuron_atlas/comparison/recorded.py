"""What `dvc.lock` records of the stages of a commit or of the workspace, as DVC reads it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.output import Output
from dvc.repo import Repo

from neuron_atlas.comparison.flattening import differing, flattened
from neuron_atlas.comparison.tracked_files import yaml_mapping

PARAMS = "params.yaml"
Listing = Mapping[str, str]  # of a folder: each file's hash by its path in the folder


@dataclass(frozen=True)
class Content:
    """What DVC records of a file or a folder.

    Attributes:
        md5: Its hash; that of a folder is of its listing, and ends in `.dir`.
        size: Bytes, or None.
        n_files: Files of a folder, or None.
        listing: The folder's files, if the listing is in the cache.
    """

    md5: str
    size: int | None = None
    n_files: int | None = None
    listing: Listing | None = None


@dataclass(frozen=True)
class StageRecord:
    """A stage as dvc.yaml has it, and as `dvc.lock` says that it last ran.

    Paths are relative to the repository's root.

    Attributes:
        name: The stage's.
        upstream: The stages whose outputs it reads.
        ran: Whether it ever ran; if not, nothing else is known of it.
        same_command: Whether it ran with the command of dvc.yaml.
        changed_parameters: Those that are not what it ran with.
        read: What it read of what stages write; None for what it has come to read since it ran.
        written: What it wrote.
        inputs: The hashes of what it read that no stage writes: code, templates, raw facts.
        changed_inputs: Those of the inputs that have changed since.
        changed_outputs: Outputs that are there and are not what it wrote, and outputs that git
            should hold and that are missing.
    """

    name: str
    upstream: tuple[str, ...] = ()
    ran: bool = True
    same_command: bool = True
    changed_parameters: tuple[str, ...] = ()
    read: Mapping[str, Content | None] = field(default_factory=dict)
    written: Mapping[str, Content] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    changed_inputs: tuple[str, ...] = ()
    changed_outputs: tuple[str, ...] = ()


def stages(repo: Repo, last: str) -> list[StageRecord]:
    """Return a stage and all before it, in the order in which they run.

    Args:
        repo: The repository, at the revision that `repo.switch` chose.
        last: The stage's name.

    Raises:
        ValueError: there is no such stage.
    """
    place = {stage: number for number, stage in enumerate(repo.index.stages)}
    names = {_name(stage): stage for stage in place}
    if last not in names:
        raise ValueError(f"dvc.yaml has no stage {last!r}; it has {sorted(names)}")
    before: dict[Any, list[Any]] = {}
    queue = [names[last]]
    while queue:
        stage = queue.pop()
        if stage not in before:
            before[stage] = sorted(repo.index.graph.successors(stage), key=place.__getitem__)
            queue += before[stage]
    order = TopologicalSorter(
        {stage: before[stage] for stage in sorted(before, key=place.__getitem__)}
    )
    outputs = [_path(out) for stage in before for out in stage.outs]
    current = _Current(repo)
    return [
        _record(stage, before[stage], outputs, current, final=stage is names[last])
        for stage in order.static_order()
    ]


def _record(
    stage: Any,
    before: Sequence[Any],
    outputs: Sequence[str],
    current: "_Current",
    *,
    final: bool,
) -> StageRecord:
    """Read a stage's record.

    Args:
        stage: DVC's.
        before: The stages whose outputs it reads.
        outputs: Paths that stages write.
        current: What inputs and parameters are now.
        final: Whether to look at its outputs themselves.
    """
    if not all(out.hash_info for out in stage.outs):
        return StageRecord(_name(stage), tuple(map(_name, before)), ran=False)
    files = {_path(dep): dep for dep in stage.deps if not isinstance(dep, ParamsDependency)}
    made = {p: dep for p, dep in files.items() if any(overlap(p, out) for out in outputs)}
    others = {p: dep for p, dep in files.items() if p not in made and p != PARAMS}
    inputs = {path: str(dep.hash_info.value) for path, dep in others.items() if dep.hash_info}
    return StageRecord(
        _name(stage),
        tuple(map(_name, before)),
        same_command=not stage.cmd_changed,
        changed_parameters=tuple(_changed_parameters(stage, current)),
        read={path: _content(dep) for path, dep in made.items()},
        written={_path(out): _written(out) for out in stage.outs},
        inputs=inputs,
        changed_inputs=tuple(
            p for p, md5 in inputs.items() if current.md5(p, others[p]) not in (None, md5)
        ),
        changed_outputs=tuple(_changed_outputs(stage)) if final else (),
    )


def overlap(a: str, b: str) -> bool:
    """Say whether two paths are the same, or one is in the other."""
    return a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/")


def _name(stage: Any) -> str:
    """Return a stage's name, or the path of the .dvc file that stands for it."""
    return str(getattr(stage, "name", None) or stage.path_in_repo)


def _path(out: Output) -> str:
    """Return a path in the repository relative to its root, and any other as dvc.yaml has it."""
    if out.fs.isabs(out.def_path):
        return str(out.def_path)
    return str(out.fs.relpath(out.fs_path, out.repo.root_dir)).replace("\\", "/")


def _content(out: Output) -> Content | None:
    if not out.hash_info:
        return None
    return Content(str(out.hash_info.value), out.meta.size, out.meta.nfiles)


def _written(out: Output) -> Content:
    found = _content(out)
    assert found
    tree = out.get_obj() if out.hash_info.isdir else None
    listing = tree and {"/".join(key): str(info.value) for key, _, info in tree}
    return Content(found.md5, found.size, found.n_files, listing)


class _Current:
    """What inputs and parameters are at the revision; each is read once for all stages."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._md5: dict[str, str | None] = {}
        self._values: dict[str, dict[str, Any]] = {}

    def md5(self, path: str, dep: Output) -> str | None:
        """Return the hash of an input, or None if it is not there: git need not hold it."""
        if path not in self._md5:
            self._md5[path] = str(dep.get_hash().value) if dep.exists else None
        return self._md5[path]

    def values(self, path: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the parameters of these names and below them, by dotted name."""
        if path not in self._values:
            self._values[path] = flattened(yaml_mapping(self._repo, path))
        found = self._values[path].items()
        return {k: v for k, v in found if any(f"{k}.".startswith(f"{name}.") for name in names)}


def _changed_parameters(stage: Any, current: _Current) -> Iterator[str]:
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            yield from differing(dep.hash_info.value or {}, current.values(_path(dep), dep.params))


def _changed_outputs(stage: Any) -> Iterator[str]:
    """Yield the outputs that are not what was written; git holds only those that are not cached."""
    for out in stage.outs:
        here = out.repo.fs.protocol == "local"
        if out.exists and (here or not out.use_cache):
            if out.changed_checksum():
                yield _path(out)
        elif not out.use_cache:
            yield _path(out)
