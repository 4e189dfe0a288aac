"""Run long work in parts that are kept, so that a killed run continues where it stopped."""

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
    digest.update(file.read_bytes())


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
    size: int,
    folder: Path = FOLDER,
) -> pd.DataFrame:
    """Apply `run` to `items` in parts of `size`, keeping each part's table until `done` is called.

    Parts that an earlier run with the same key finished are read, not computed. The rate and the
    time left go to standard error.

    Args:
        items: What to work on, one row per item; each part is a run of consecutive rows.
        run: Turns one part into one table.
        key: Names the work; see `key`.
        size: Items per part, the most that a kill can cost; at least 1.
        folder: Where parts are kept. It must lie outside the stage's outputs, because DVC deletes
            those before it runs the stage.

    Returns:
        The parts' tables, concatenated in the order of the items.
    """
    parts = [items.iloc[i : i + size] for i in range(0, len(items), size)]
    kept_in, tables, start = parts_folder(key, folder=folder), [], 0
    with tqdm(
        total=len(items), desc=_name(key), unit="prompt", mininterval=5, smoothing=0.1
    ) as bar:
        for part in parts:
            kept = kept_in / f"{start:06d}-{len(part)}.parquet"  # the same items whatever `size` is
            start += len(part)
            if not kept.exists():
                write_table(kept, run(part))
            tables.append(read_table(kept))
            bar.update(len(part))
    return pd.concat(tables, ignore_index=True) if tables else run(items)


def done(key: str, *, folder: Path = FOLDER) -> None:
    """Delete the parts of finished work; call it after the result is written."""
    shutil.rmtree(folder / key, ignore_errors=True)
