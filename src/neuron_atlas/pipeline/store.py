"""Read and write Parquet tables and JSON files; a file is written whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that becomes `path` when the block ends without error.

    The sibling is removed when the block raises, so `path` is never half written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `out` when the block ends without error.

    What a killed run left behind is removed first.

    Raises:
        ValueError: `out` exists already.
    """
    if out.exists():
        raise ValueError(f"{out} exists already; remove it first")
    folder = out.with_name(f".{out.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move(folder: Path, out: Path) -> None:
    """Move a finished folder to `out`, which appears whole even on another file system.

    Raises:
        ValueError: `out` exists already.
    """
    with whole(out) as temporary:
        if _on_one_disk(folder, temporary):
            folder.replace(temporary)
        else:
            shutil.copytree(folder, temporary, dirs_exist_ok=True)


def _on_one_disk(a: Path, b: Path) -> bool:
    return a.stat().st_dev == b.stat().st_dev


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet; the same table always gives the same bytes."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        ValueError: the file is missing or lacks one of `columns`.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; run `dvc repro` or `dvc pull` first")
    table = pd.read_parquet(path, engine="pyarrow")
    missing = sorted(set(columns or []) - set(table.columns))
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}; it has {sorted(table.columns)}")
    return table if columns is None else table[columns]


def no_rows(columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a table without rows, with these columns and types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one dictionary per row, by column name; arrays become lists."""
    return [{str(k): _listed(v) for k, v in row.items()} for row in table.to_dict("records")]


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys and a trailing newline; NaN and infinity are refused.

    Raises:
        ValueError: `value` holds a number that is not finite.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: the file is missing, is not JSON, or is not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; run `dvc repro` or `dvc pull` first") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def by_language(folder: Path, languages: Sequence[str], *, suffix: str = "") -> dict[str, Path]:
    """Return `folder`'s entry of each language, and remove entries of languages no longer chosen.

    A stage that joins languages depends on the folder that holds their outputs. If a missing
    language were skipped, an incomplete pull would silently give a wrong result; if a stale one
    stayed, the folder's hash would depend on earlier runs.

    Raises:
        ValueError: a language's entry is missing.
    """
    wanted = {language: folder / f"{language}{suffix}" for language in languages}
    missing = [str(path) for path in wanted.values() if not path.exists()]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}; run `dvc repro` or `dvc pull` first")
    for path in sorted(folder.iterdir()):
        if path not in wanted.values() and not path.name.startswith("."):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return wanted
