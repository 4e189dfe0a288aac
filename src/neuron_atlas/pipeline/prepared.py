"""What a process makes for those that it forks: they take it over and need not make it again."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

Maker = Callable[[Path], None]
_makers: list[Maker] = []
_values: dict[Hashable, Any] = {}


def maker(make: Maker) -> Maker:
    """Let a function see every folder that a stage is given; it may `keep` what it makes of it."""
    _makers.append(make)
    return make


def make(folders: Iterable[Path]) -> None:
    """Call every maker with each folder."""
    for folder in folders:
        for each in _makers:
            each(folder)


def keep(key: Hashable, made: Callable[[], object]) -> None:
    """Keep a value for the processes that are forked later, in place of all that was kept.

    Args:
        key: Changes whenever the value would be another.
        made: Gives the value; called only if it is not kept yet.
    """
    if key not in _values:
        _values.clear()  # at once, so that two models are never held
        _values[key] = made()


def take(key: Hashable) -> Any:
    """Return a kept value, once, so that each caller has its own; None if there is none."""
    return _values.pop(key, None)


def identity(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes with a folder's files: their names, numbers, sizes and times."""
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        name = path.relative_to(folder).as_posix()
        found.append((name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
