"""The arms of an intervention: which neurons are changed to what, and how far that is to push."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Edits

NONE = np.empty(0, dtype=np.int64)
COLUMNS = {
    **dict.fromkeys(("kind", "source", "relation", "order"), "str"),
    **dict.fromkeys(("k", "draw"), "int64"),
    "alpha": "float64",
}
Tables = Mapping[str, Float[Tensor, "layer neuron"]]


@dataclass(frozen=True, eq=False)  # two arms are the same only if they are one
class Arm:
    """One change of neurons at the answer position.

    Attributes:
        kind: What it is: a set, or which control of it.
        source: The language in which the set was found, or `pooled`.
        relation: The relation whose set it is, or whose set it is a control of.
        neurons: Flat indices; none where a direction is added.
        table: Name of the table of values that they are set to.
        order: How a part of a set was chosen, or whose push was multiplied; empty otherwise.
        draw: Number of the random draw; -1 if nothing is drawn.
        alpha: Multiple of the push that it is scaled to.
        added: What is added to every neuron instead.
    """

    kind: str
    source: str
    relation: str
    neurons: Int[np.ndarray, "_"] = field(default_factory=lambda: NONE)
    table: str = ""
    order: str = ""
    draw: int = -1
    alpha: float = 1.0
    added: Float[Tensor, "layer neuron"] | None = None


@dataclass(frozen=True)
class Scaled:
    """An arm, and the measured arms whose push it gets: the least of theirs, times its `alpha`.

    Theirs is what they have all the way, whatever they are scaled to; the arm itself may be one of
    them. With none it goes all the way.
    """

    arm: Arm
    to: tuple[Arm, ...] = ()


def describe(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return the arms as a table with the columns and types of `COLUMNS`, in their order."""
    rows = [[a.kind, a.source, a.relation, a.order, len(a.neurons), a.draw, a.alpha] for a in arms]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def edits(arms: Sequence[Arm], tables: Tables) -> Edits:
    """Prepare the arms for the engine; what is added changes all neurons a little."""
    names = sorted({a.table for a in arms if a.added is None})
    added = [a.added for a in arms if a.added is not None]
    value = torch.stack([*(tables[name].float() for name in names), *added])
    places = iter(range(len(names), len(value)))
    every = np.arange(value[0].numel())
    return ablation.edits_of(
        [a.neurons if a.added is None else every for a in arms],
        value,
        [names.index(a.table) if a.added is None else next(places) for a in arms],
        scale=[0.0] * len(names) + [1.0] * len(added),
    )


def on_each_prompt(prepared: Edits, gains: Float[np.ndarray, "arm prompt"]) -> Edits:
    """Return all arms once per prompt, with their gains on it, one prompt after another."""
    n = gains.shape[1]
    return replace(
        prepared,
        chosen=prepared.chosen.repeat(n, 1, 1),
        kind=prepared.kind.repeat(n),
        gain=torch.from_numpy(gains.T.flatten()).float(),
    )
