"""The prompts on which each neuron is strongest and weakest, in all languages together."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from neuron_atlas.cards import tables
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.value_vectors.largest import GROUP, Columns

BLANK = "___"  # in an encoder's prompt, where the answer is asked


def extremes(
    own: Int64[np.ndarray, " own"], recorded: Mapping[str, Float[Tensor, "prompt own"]], n: int
) -> pd.DataFrame:
    """Return the prompts of all languages with the largest and the smallest values of one layer.

    Args:
        own: Neurons of the layer, flat indices.
        recorded: Their values, by language.
        n: Prompts per neuron and end.

    Returns:
        `neuron`, `end`, `rank`, `language`, `row` (of the language's activations) and `value`; of
        equal values the first language's come first, and its first rows.
    """
    counts = [len(part) for part in recorded.values()]
    language = np.repeat(list(recorded), counts)
    row = np.concatenate([np.arange(count) for count in counts])
    columns = Columns.of({"prompts": torch.arange(len(row))})
    every = torch.cat(list(recorded.values())).T
    values = columns.grouped(pad(every, (0, -len(row) % GROUP)).contiguous())
    parts = []
    for end, ends in ((tables.STRONGEST, values.largest), (tables.WEAKEST, values.smallest)):
        found = ends(n)
        places = found.ids.numpy()
        filled = {
            "neuron": np.repeat(own, places.shape[1]),
            "end": end,
            "rank": np.tile(np.arange(places.shape[1]), len(own)),
            "language": language[places].ravel(),
            "row": row[places].ravel(),
            "value": found.values.double().numpy().ravel(),
        }
        parts.append(pd.DataFrame(filled))
    return pd.concat(parts, ignore_index=True)


def named(
    found: pd.DataFrame, index: Mapping[str, pd.DataFrame], recalled: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return `tables.PROMPTS`: the texts of prompts, without demonstrations.

    Args:
        found: From `extremes`.
        index: By language, which prompt each row of its activations is.
        recalled: Recall tables by language.
    """
    parts = []
    for code, rows in found.groupby("language", sort=False):
        asked = recalled[str(code)]
        texts = asked[["fact", "template", "relation", "answer"]].assign(prompt=_texts(asked))
        which = rows.join(index[str(code)][["fact", "template"]], on="row")
        keys = ["fact", "template"]
        parts.append(which.merge(texts, on=keys, how="left", validate="many_to_one"))
    table = tables.typed(parts, tables.PROMPTS)
    return table.sort_values(["neuron", "end", "rank"], kind="stable", ignore_index=True)


def _texts(asked: pd.DataFrame) -> list[str]:
    """Return prompts without the demonstrations in front, and with a blank for a slot in them."""
    return [
        prompt[prompt.rfind("\n", 0, start) + 1 :].replace(OBJECT, BLANK)
        for prompt, start in zip(asked["prompt"], asked["subject_start"], strict=True)
    ]
