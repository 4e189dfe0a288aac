"""The files of the stage, and the columns of its tables."""

from collections.abc import Mapping, Sequence

import pandas as pd

from neuron_atlas.pipeline import store

SETS, ACTIVITY, TEXTS, ANSWERS, META = (
    "sets.parquet",
    "activity.parquet",
    "texts.parquet",
    "answers.parquet",
    "meta.json",
)
MEMBERS = {
    "language": "str",
    **dict.fromkeys(("rank", "layer", "index", "neuron"), "int64"),
    **dict.fromkeys(("probability", "entropy"), "float64"),
}
COUNTS = {
    "language": "str",
    "neuron": "int64",
    "n_tokens": "int64",
    "active": "int64",
    "size": "float64",
}
ARM = {
    **dict.fromkeys(("kind", "source"), "str"),
    **dict.fromkeys(("k", "draw"), "int64"),
    "push": "float64",
    "effect": "float64",
}
ON_TEXTS = {"language": "str", "text": "str", "n_tokens": "int64", **ARM}
ON_ANSWERS = {
    **dict.fromkeys(("language", "fact", "relation"), "str"),
    "n_labels": "int64",
    **ARM,
    **dict.fromkeys(("own_before", "own_after"), "bool"),
}
SET, MATCHED, SCALED, OTHER = "set", "push_matched", "own_scaled", "other_set"


def typed(parts: Sequence[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    """Join tables and give them columns and types; of no table the columns alone are left."""
    if not parts:
        return store.no_rows(columns)
    return pd.concat(parts, ignore_index=True)[list(columns)].astype(dict(columns))
