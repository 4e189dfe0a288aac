"""The files of the stage, and the columns and types of its tables."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import pandas as pd

from neuron_atlas.pipeline import store
from neuron_atlas.value_vectors import directions

META = "meta.json"
Kind = Literal["relation", "fact", "language_independent", "language_specific", "degenerate"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PROMOTED, SUPPRESSED = directions.PROMOTED, directions.SUPPRESSED
ALL_SCRIPTS, NO_SCRIPT = directions.ALL_SCRIPTS, directions.NO_SCRIPT
STRONGEST, WEAKEST = "strongest", "weakest"  # ends
DEGENERATE, CO_SELECTED = "degenerate", "co_selected"  # kinds of partners

WHOLE, NUMBER, TEXT = "int64", "float64", "str"  # a missing number or text is NaN, null in the file
PLACE = "Int64"  # a whole number that may be missing

NEURONS = {
    **dict.fromkeys(("neuron", "layer", "index"), WHOLE),
    "massive": "bool",
    "size": NUMBER,
    **{f"n_{kind}": WHOLE for kind in KINDS},
    **dict.fromkeys(("best_relation", "best_language"), TEXT),
}
MEMBERSHIPS = {
    "neuron": WHOLE,
    **dict.fromkeys(("kind", "name", "label", "relation", "language"), TEXT),
    "rank": PLACE,
    "score": NUMBER,
}
SCORES = {
    "neuron": WHOLE,
    **dict.fromkeys(("language", "relation"), TEXT),
    **dict.fromkeys(("average_precision", "mean", "elsewhere"), NUMBER),
}
_TOKENS = {
    **dict.fromkeys(("direction", "script"), TEXT),
    **dict.fromkeys(("rank", "token_id"), WHOLE),
    "token": TEXT,
    "logit": NUMBER,
}
TOKENS = {"neuron": WHOLE, **_TOKENS}
SCRIPTS = {"neuron": WHOLE, **dict.fromkeys(("direction", "script"), TEXT), "share": NUMBER}
PROMPTS = {
    "neuron": WHOLE,
    "end": TEXT,
    "rank": WHOLE,
    **dict.fromkeys(("language", "relation", "fact", "prompt", "answer"), TEXT),
    "value": NUMBER,
}
EFFECTS = {
    "neuron": WHOLE,
    **dict.fromkeys(("measured_by", "language", "relation", "fact"), TEXT),
    **dict.fromkeys(("effect", "low", "high"), NUMBER),
    "n_prompts": WHOLE,
    "unit": TEXT,
}
PARTNERS = {
    **dict.fromkeys(("neuron", "partner"), WHOLE),
    "kind": TEXT,
    "count": WHOLE,
    **dict.fromkeys(("expected", "interaction"), NUMBER),
    **dict.fromkeys(("fact", "language"), TEXT),
}
WRITES = {
    "neuron": WHOLE,
    **dict.fromkeys(("relation", "language"), TEXT),
    **dict.fromkeys(("auc", "random", "p_value"), NUMBER),
}
RELATIONS = {
    **dict.fromkeys(("relation", "language"), TEXT),
    "n_neurons": WHOLE,
    **dict.fromkeys(("auc", "low", "high", "random", "p_value", "p_holm"), NUMBER),
}
RELATION_TOKENS = {"relation": TEXT, **_TOKENS}

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "neurons": NEURONS,
    "memberships": MEMBERSHIPS,
    "scores": SCORES,
    "tokens": TOKENS,
    "scripts": SCRIPTS,
    "prompts": PROMPTS,
    "effects": EFFECTS,
    "partners": PARTNERS,
    "writes": WRITES,
    "relations": RELATIONS,
    "relation_tokens": RELATION_TOKENS,
}  # by the name of the file, without its ending
OF_A_NEURON = tuple(name for name, own in COLUMNS.items() if "neuron" in own and name != "neurons")


def typed(parts: Sequence[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    """Join tables and give them columns and types; of no table the columns alone are left."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return store.no_rows(columns)
    return pd.concat(filled, ignore_index=True)[list(columns)].astype(dict(columns))
