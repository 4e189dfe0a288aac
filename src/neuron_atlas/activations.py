"""The folder of a language's neuron values: which prompt each row is of, and how it was read."""

from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas import store

INDEX, META = "index.parquet", "meta.json"
INDEX_COLUMNS = ["fact", "relation", "subject", "split", "template", "correct"]


def read_index(folder: Path) -> pd.DataFrame:
    """Read which prompt each row of the layers' values is."""
    return store.read_table(folder / INDEX, INDEX_COLUMNS)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read which site and pooling the values are of, and how many layers there are."""
    return store.read_json(folder / META)
