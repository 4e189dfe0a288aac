"""Language-specific neurons as the stage `language_specific` leaves them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from neuron_atlas.pipeline import store

SETS = "sets.parquet"
LanguageSets = Mapping[str, Int[np.ndarray, "_"]]


def read_language_sets(folder: Path) -> LanguageSets:
    """Return by language its neurons as flat indices, those of the lowest entropy first.

    A language without any is missing.

    Raises:
        ValueError: the file is missing or unreadable; the message names it.
    """
    table = store.read_table(folder / SETS, ["language", "rank", "neuron"])
    ranked = table.sort_values("rank").groupby("language", sort=True)["neuron"]
    return {str(code): neurons.to_numpy(np.int64) for code, neurons in ranked}
