"""Long work in parts: with progress, and kept so that a killed run goes on where it was."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from neuron_atlas.pipeline.store import read_table, write_table

FOLDER = Path(".work")
CODE = Path(__file__).parents[1]


def key(name: str, inputs: Sequence[Path], settings: Mapping[str, object]) -> str:
    """Return a name that changes with the inputs' bytes, the settings, or the library's code.

    Args:
        name: What is worked on. One process at a time works under a name.
        inputs: Files and folders: the stage's script, and all that it reads. Of a folder all but
            safetensors is read: weights and activations are known by what stands beside them.
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
    digest.update(file.read_bytes())


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path.suffix != ".safetensors")


def place(key: str, *, folder: Path = FOLDER) -> Path:
    """Return where parts are kept, and forget those of the same name with another key.

    What a killed run left is of no use once an input, a setting or the code is another.
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
    size: int,
    folder: Path = FOLDER,
) -> pd.DataFrame:
    """Apply `run` to `items` in parts of `size`, keeping each part's table until `done` is called.

    Parts that an earlier run with the same key finished are read, not computed. The rate and the
    time left go to standard error.

    Args:
        items: What to work on, a row an item; parts are consecutive.
        run: Makes one table of one part.
        key: Names the work; see `key`.
        size: Items of a part: what a kill can cost.
        folder: Where parts are kept; outside what DVC owns, since DVC removes a stage's outs first.

    Returns:
        The parts' tables, one below the other, in the order of the items.
    """
    parts = [items.iloc[i : i + size] for i in range(0, len(items), size)]
    kept_in, tables, start = place(key, folder=folder), [], 0
    with tqdm(
        total=len(items), desc=_name(key), unit="prompt", mininterval=5, smoothing=0.1
    ) as bar:
        for part in parts:
            kept = kept_in / f"{start:06d}-{len(part)}.parquet"  # names the same items in any size
            start += len(part)
            if not kept.exists():
                write_table(kept, run(part))
            tables.append(read_table(kept))
            bar.update(len(part))
    return pd.concat(tables, ignore_index=True) if tables else run(items)


def done(key: str, *, folder: Path = FOLDER) -> None:
    """Forget the parts of finished work; call it once the result is written."""
    shutil.rmtree(folder / key, ignore_errors=True)
