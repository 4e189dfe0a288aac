"""Run long work in groups that are kept, so that a killed run continues where it stopped.

What a group's items are computed with decides their last digits, so the groups of some work are the
same on every machine. Time only decides how many finished groups are written to one file.
"""

import hashlib
import itertools
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pandas as pd

from neuron_atlas.executors import executor
from neuron_atlas.pipeline import progress
from neuron_atlas.pipeline.store import read_table, write_table
from neuron_atlas.pipeline.work_folder import FOLDER, WHOLE

CODE = Path(__file__).parents[1]
T = TypeVar("T")
PIECE = 1 << 20  # bytes of a file that are in memory at a time
KEPT_EVERY = 5.0  # seconds that finished groups may wait to be written


def key(name: str, inputs: Sequence[Path], settings: Mapping[str, object]) -> str:
    """Return a name that changes with the inputs' bytes, the settings, or the library's code.

    Args:
        name: What the work is called; only one process at a time may use a name.
        inputs: The stage's script, and the files and folders that it reads. Inside a folder,
            safetensors files are skipped: the files beside them identify weights and activations.
        settings: The stage's parameters.
    """
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for path in inputs:
        for file in _files(path) if path.is_dir() else [path]:
            _add(digest, file, file.name)
    for file in sorted(CODE.rglob("*.py")):
        _add(digest, file, file.relative_to(CODE).as_posix())
    return f"{name}-{digest.hexdigest()[:16]}"


def _add(digest: "hashlib._Hash", file: Path, name: str) -> None:
    digest.update(f"{name} {file.stat().st_size}\n".encode())
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            digest.update(piece)


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path.suffix != ".safetensors")


def parts_folder(key: str, *, folder: Path = FOLDER) -> Path:
    """Return the folder for a key's parts, and delete those of the same name with another key.

    What a killed run left is useless once an input, a setting or the code has changed.
    """
    for old in folder.iterdir() if folder.exists() else ():
        if old.name != key and _name(old.name) == _name(key):
            shutil.rmtree(old)
    return folder / key


def _name(key: str) -> str:
    return key.rpartition("-")[0]


def in_parts(
    items: pd.DataFrame,
    run: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    key: str,
    size: int | Sequence[int],
    folder: Path = FOLDER,
    clock: Callable[[], float] = time.monotonic,
) -> pd.DataFrame:
    """Apply `run` to `items` in groups, keeping their tables until `done` is called.

    Groups that an earlier run with the same key finished are read, not computed. A kill costs the
    group in flight and at most `KEPT_EVERY` seconds before it; an error or Ctrl-C costs the group
    alone. The rate and the time left go to standard error.

    Args:
        items: What to work on, one row per item; each group is a run of consecutive rows.
        run: Turns one group into one table, and depends on nothing else; the executor that the
            environment chooses may call it in another process.
        key: Names the work; see `key`.
        size: Items per group, at least 1; or those of each group in turn. Results can depend on it
            in their last digits, so choose it once for all machines: so small that a group takes a
            slow one a few seconds.
        folder: Where tables are kept. It must lie outside the stage's outputs, because DVC deletes
            those before it runs the stage.
        clock: Tells the seconds.

    Returns:
        The groups' tables, concatenated in the order of the items.
    """
    if items.empty:
        return run(items)
    kept = _KeptGroups(parts_folder(key, folder=folder), _label(size), clock)
    try:
        with progress.bar(_name(key), total=len(items), done=kept.n_items) as shown:
            edges = itertools.pairwise(_edges(size, len(items)))
            groups = [items.iloc[start:end] for start, end in edges if start >= kept.n_found]
            with closing(executor.chosen().map(run, groups)) as tables:
                for group, table in zip(groups, tables, strict=True):
                    kept.add(table, n_items=len(group))
                    shown.update(len(group))
    finally:
        kept.write()
    return pd.concat([read_table(file) for file in kept.files], ignore_index=True)


def _edges(size: int | Sequence[int], n_items: int) -> list[int]:
    """Return where groups begin and end.

    Raises:
        ValueError: the sizes given do not add up to the number of items.
    """
    if isinstance(size, int):
        return [*range(0, n_items, size), n_items]
    edges = list(itertools.accumulate(size, initial=0))
    if edges[-1] != n_items:
        raise ValueError(f"expected groups of {n_items} items in all, got {edges[-1]}")
    return edges


def _label(size: int | Sequence[int]) -> str:
    """Return what tells the files of these groups from those of others."""
    if isinstance(size, int):
        return str(size)
    return hashlib.sha256(repr(list(size)).encode()).hexdigest()[:8]


class _KeptGroups:
    """The tables of the first groups of some work: in files, but for those of the last seconds.

    Attributes:
        files: The files, in the order of the items; each holds the tables of one group or more.
        n_items: Items in the files.
        n_found: Items in the files that an earlier run left.
    """

    def __init__(self, folder: Path, label: str, clock: Callable[[], float]) -> None:
        """Find the files that an earlier run left of the same groups, which share a label."""
        self._folder, self._label, self._clock = folder, label, clock
        self._waiting: list[pd.DataFrame] = []
        self._n_waiting = 0
        self._written = -math.inf  # so that the first group is written at once
        self.files: list[Path] = []
        self.n_items = 0
        while found := sorted(folder.glob(f"{self.n_items:06d}-*-{label}.parquet")):
            self._count(found[0], int(found[0].stem.split("-")[1]))
        self.n_found = self.n_items

    def add(self, table: pd.DataFrame, *, n_items: int) -> None:
        """Take the table of the next group, and write all that wait if it is time."""
        self._waiting.append(table)
        self._n_waiting += n_items
        if self._clock() - self._written >= KEPT_EVERY:
            self.write()

    def write(self) -> None:
        """Write the tables that wait to one file."""
        if not self._waiting:
            return
        name = f"{self.n_items:06d}-{self._n_waiting}-{self._label}.parquet"
        write_table(self._folder / name, pd.concat(self._waiting, ignore_index=True))
        self._count(self._folder / name, self._n_waiting)
        self._waiting, self._n_waiting, self._written = [], 0, self._clock()

    def _count(self, file: Path, n_items: int) -> None:
        self.files.append(file)
        self.n_items += n_items


def done(key: str, *, folder: Path = FOLDER) -> None:
    """Delete the parts of finished work; call it after the result is written."""
    shutil.rmtree(folder / key, ignore_errors=True)


def remembered(
    key: str,
    make: Callable[[], T],
    *,
    write: Callable[[Path, T], None],
    read: Callable[[Path], T],
    folder: Path = FOLDER,
) -> T:
    """Return what is made only once for a key, whatever run needs it.

    It stays on disk when the run ends, for a later run that needs it again; `keep_only` deletes it
    when none does.

    Args:
        key: Names the work and all that it depends on; see `key`.
        make: May itself keep groups under the key; they are deleted once the whole is written.
        write: Writes the whole to a file, which appears only when it is complete.
        read: Reads it.
        folder: As in `in_parts`.
    """
    whole = parts_folder(key, folder=folder) / WHOLE
    if not whole.exists():
        write(whole, make())
    for file in whole.parent.iterdir():
        if file != whole:
            file.unlink()
    return read(whole)


def keep_only(stage: str, keys: Sequence[str], *, folder: Path = FOLDER) -> None:
    """Delete what earlier runs of a stage have kept under keys that are none of these."""
    for old in folder.iterdir() if folder.exists() else ():
        if old.name.partition(" ")[0] == stage and old.name not in keys:
            shutil.rmtree(old)
