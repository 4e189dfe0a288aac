"""Long work in parts: with progress, and kept so that a killed run goes on where it was."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from neuron_atlas.store import read_table, write_table

FOLDER = Path(".work")
CODE = Path(__file__).parent


def key(name: str, inputs: Sequence[Path], settings: Mapping[str, object]) -> str:
    """Return a name that changes with the inputs' bytes, the settings, or the library's code.

    Of a folder only small files are read; a model's weights are known by its provenance.
    """
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for path in [*inputs, *sorted(CODE.glob("*.py"))]:
        digest.update(path.read_bytes())
    return f"{name}-{digest.hexdigest()[:16]}"


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
    place, tables = folder / key, []
    label = key.rsplit("-", 1)[0]
    with tqdm(total=len(items), desc=label, unit="prompt", mininterval=5, smoothing=0.1) as bar:
        for number, part in enumerate(parts):
            kept = place / f"{number:05d}-{len(part)}.parquet"
            if not kept.exists():
                write_table(kept, run(part))
            tables.append(read_table(kept))
            bar.update(len(part))
    return pd.concat(tables, ignore_index=True) if tables else run(items)


def done(key: str, *, folder: Path = FOLDER) -> None:
    """Forget the parts of finished work; call it once the result is written."""
    shutil.rmtree(folder / key, ignore_errors=True)
