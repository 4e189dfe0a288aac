"""The folder of a language's neuron values: which prompt each row is of, and how it was read."""

from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas import store

INDEX, META = "index.parquet", "meta.json"
INDEX_COLUMNS = ["fact", "relation", "subject", "split", "template", "correct"]


def known_prompts(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return the prompts of the facts that the model knows, all paraphrases of each.

    Raises:
        ValueError: the model knows no fact.
    """
    known = recalled[recalled["known"]].reset_index(drop=True)
    if known.empty:
        raise ValueError(
            f"the model knows none of {recalled['fact'].nunique()} facts; nothing to extract. "
            "See the recall table; try recall.shots, other relations or another model"
        )
    return known


def read_index(folder: Path) -> pd.DataFrame:
    """Read which prompt each row of the layers' values is."""
    return store.read_table(folder / INDEX, INDEX_COLUMNS)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read which site and pooling the values are of, and how many layers there are."""
    return store.read_json(folder / META)
