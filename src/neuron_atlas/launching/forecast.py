"""Which stages a run of DVC has yet to run, as far as its files tell without reading the data."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

GATE = "data/check.json"  # the same bytes whenever the check passes
FILES = ("params.yaml", "dvc.yaml", "dvc.lock")
PLACEHOLDER = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Cell:
    """A stage, or a stage for one language, as dvc.yaml declares it."""

    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """The parameters, each result as dvc.lock has it by its path, and where the files are."""

    params: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]
    root: Path


def to_run(now: str, done: Collection[str], root: Path = Path()) -> set[str]:
    """Return the stages that are likely to run after the present one.

    These are stages that never ran, whose outputs are missing, whose code, parameters or inputs
    differ from those in dvc.lock, and all that read their outputs. Code is compared by its size,
    and it is not known yet whether an output will change: the answer may be wrong either way.

    Args:
        now: The stage that begins, such as `recall@fr`.
        done: Those that this run has finished.
        root: Where dvc.yaml is.

    Raises:
        OSError: dvc.yaml or params.yaml cannot be read.
    """
    params, content, locked = (_read(root / name) for name in FILES)
    cells, lock = _cells(content, params), locked.get("stages", {})
    results = {out["path"]: out for entry in lock.values() for out in entry.get("outs", ())}
    known = Known(params, results, root)
    later = {name: cell for name, cell in cells.items() if name != now and name not in done}
    found = {name for name, cell in later.items() if _differs(cell, lock.get(name), known)}
    changed = _outs(cells, {now, *found})
    while more := {name for name in later.keys() - found if _reads(later[name], changed)}:
        found |= more
        changed |= _outs(cells, more)
    return found


def _read(file: Path) -> dict[str, Any]:
    """Read a YAML file; a repository in which no stage ran has no dvc.lock."""
    if file.name == "dvc.lock" and not file.exists():
        return {}
    content: dict[str, Any] = YAML(typ="safe").load(file)
    return content


def _cells(content: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Cell]:
    found = {}
    for name, stage in content["stages"].items():
        if "matrix" not in stage:
            found[name] = _cell(stage, params)
            continue
        for language in params["languages"]:
            found[f"{name}@{language}"] = _cell(stage, {**params, "item": {"language": language}})
    return found


def _cell(stage: Mapping[str, Any], values: Mapping[str, Any]) -> Cell:
    def filled(text: str) -> str:
        return PLACEHOLDER.sub(lambda found: str(_value(values, found[1])), text)

    outs = [*stage.get("outs", ()), *stage.get("metrics", ())]
    names = [next(iter(out)) if isinstance(out, dict) else out for out in outs]
    return Cell(
        filled(stage["cmd"].strip()), tuple(map(filled, stage["deps"])), tuple(map(filled, names))
    )


def _value(values: Mapping[str, Any], key: str) -> Any:
    """Return what a dotted key stands for; None if nothing does."""
    found: Any = values
    for word in key.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    return found


def _differs(cell: Cell, entry: Mapping[str, Any] | None, known: Known) -> bool:
    """Return whether a stage is no longer what its entry in dvc.lock says."""
    if entry is None or entry["cmd"] != cell.command:
        return True
    deps = {dep["path"]: dep for dep in entry.get("deps", ())}
    if set(deps) != set(cell.deps) or not all((known.root / out).exists() for out in cell.outs):
        return True
    used = entry.get("params", {}).get("params.yaml", {})
    if any(_value(known.params, key) != value for key, value in used.items()):
        return True
    return any(_has_changed(path, dep, known) for path, dep in deps.items())


def _has_changed(path: str, dep: Mapping[str, Any], known: Known) -> bool:
    """Compare a result by its digest in dvc.lock, code by its size, other data not at all."""
    made = known.results.get(path)
    if made is not None:
        return bool(made.get("md5") != dep.get("md5"))
    return not path.startswith("data/") and _size(known.root / path) != dep.get("size")


def _size(path: Path) -> int:
    """Return the bytes that DVC counts: without what .dvcignore names in all our folders."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if _counts(file, path))


def _counts(file: Path, folder: Path) -> bool:
    left = ("__pycache__", "*.py[co]", "*~", "*.bak", "*.orig", "*.rej", ".*", "#*#")
    words = file.relative_to(folder).parts
    return file.is_file() and not any(fnmatch(word, p) for word in words for p in left)


def _outs(cells: Mapping[str, Cell], names: Iterable[str]) -> set[str]:
    return {out for name in names if name in cells for out in cells[name].outs} - {GATE}


def _reads(cell: Cell, outs: Collection[str]) -> bool:
    """Return whether a stage reads one of the outputs, a part of one, or a folder that holds it."""
    return any(
        dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
        for dep in cell.deps
        for out in outs
    )
