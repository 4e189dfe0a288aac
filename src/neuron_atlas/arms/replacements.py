"""The values that neurons are set to: zero, or means over prompts of the identification half."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.arm import Tables
from neuron_atlas.arms.settings import Value
from neuron_atlas.facts import roles
from neuron_atlas.pipeline.streams import code, stream

PROMPTS = 256  # of a relation, whose values are held in memory
HELD = 1 << 32  # bytes that these values may take, of all relations
FLOAT = 4  # bytes of a number
ALL = slice(None)


def off_values(values: Recorded, how: Value, *, seed: int) -> Tables:
    """Return the values that switched-off neurons take, by the relation whose neurons they are.

    `zero` is Liu et al.'s (2025, section 3.2). `mean` is the language's mean over relations. Both
    are one table, named "". `other_mean` is a table per relation: the mean over the others. A
    neuron does take such values. `resampled` is a table per relation, too: the values on one prompt
    of another one, drawn by `seed`; they were taken together. All are of the identification half's
    right answers, at the positions that the activations were pooled from; in means each relation
    counts the same. The answer's tokens after the first get the same values.

    Raises:
        ValueError: no identification prompt was answered right, or there is no other relation.
    """
    means = relation_means(values)
    if not means:
        raise ValueError(
            f"{values.folder} has no right prompt of an identification subject to average"
        )
    every = torch.stack(list(means.values()))
    if how == "zero":
        return {"": torch.zeros_like(every[0])}
    if how == "mean":
        return {"": every.mean(0)}
    if len(means) < 2:
        raise ValueError(
            f"{values.folder} knows {list(means)} alone: no values of other relations; use mean"
        )
    if how == "resampled":
        return _resampled(values, sorted(means), seed)
    total, n = every.sum(0), len(means)
    return {name: (total - own) / (n - 1) for name, own in means.items()}


def _resampled(values: Recorded, relations: Sequence[str], seed: int) -> Tables:
    index = values.index
    used = index[index["correct"] & (index["split"] == "identification")]
    rows = []
    for relation in relations:
        others = used.index[used["relation"] != relation]
        rows.append(int(stream(seed, "interference", "resampled", relation).choice(others)))
    layers = [values.layer(i)[rows].float() for i in range(values.n_layers)]
    return dict(zip(relations, torch.stack(layers, 1), strict=True))


def relation_means(values: Recorded) -> dict[str, Float[Tensor, "layer neuron"]]:
    """Return each relation's mean values over its right prompts of the identification half.

    A relation without such prompts is missing.
    """
    index = values.index
    used = index[index["correct"] & (index["split"] == "identification")]
    rows = {str(name): part.index.tolist() for name, part in used.groupby("relation", sort=True)}
    means: dict[str, list[Tensor]] = {name: [] for name in rows}
    for layer in range(values.n_layers):
        found = values.layer(layer)
        for name, own in rows.items():
            means[name].append(found[own].float().mean(0))
    return {name: torch.stack(layers) for name, layers in means.items()}


def selecting_values(
    values: Recorded, relations: Sequence[str], *, in_all: bool = False
) -> dict[str, Float[Tensor, "prompt layer neuron"]]:
    """Return the values of the right prompts that select each relation's neurons.

    Pushes and strengths are means over prompts. Of more than `PROMPTS` of a relation, or than fit
    in `HELD` bytes, some are drawn, each by a number of its own. A relation without such prompts is
    missing.

    Args:
        values: The recorded values.
        relations: The relations.
        in_all: Whether the bound is that of all relations together.
    """
    index = values.index
    used = index[index["correct"] & roles.selects(index) & index["relation"].isin(relations)]
    by_relation = {str(name): part for name, part in used.groupby("relation", sort=True)}
    n, layers = len(by_relation), range(values.n_layers)
    one = FLOAT * sum(values.n_neurons(i) for i in layers)
    most = max(1, min(PROMPTS, HELD // max(1, n * one)))
    if in_all and len(used) > most:
        most = max(1, most // n)
    elif in_all:
        most = len(used)
    found = {}
    for name, part in by_relation.items():
        rows = _drawn(part, most).index.to_numpy()
        found[name] = torch.stack([values.block(i, rows, ALL).float() for i in layers], 1)
    return found


def _drawn(prompts: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many prompts, in their order."""
    if len(prompts) <= most:
        return prompts
    named = zip(prompts["fact"], prompts["template"], strict=True)
    codes = np.array([code(0, "push", str(fact), int(template)) for fact, template in named])
    return prompts.iloc[sorted(np.argsort(codes, kind="stable")[:most])]
