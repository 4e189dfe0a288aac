"""How often each neuron is active in each language, and how large its values are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from neuron_atlas.devices.everywhere import Everywhere
from neuron_atlas.language_specific.passes import Pass, on_passes, run
from neuron_atlas.language_specific.tables import COUNTS
from neuron_atlas.language_specific.texts import Text
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules


@dataclass(frozen=True)
class Activity:
    """What the neurons do on one language's texts.

    Attributes:
        n_tokens: Tokens, without the special ones around a text.
        active: At how many of them each neuron is active.
        size: Mean |value| of the hidden units.
    """

    n_tokens: int
    active: Int64[np.ndarray, "layer neuron"]
    size: Float64[np.ndarray, "layer neuron"]

    @property
    def probability(self) -> Float64[np.ndarray, "layer neuron"]:
        """The activation probability: the share of tokens at which a neuron is active."""
        return np.asarray(self.active / self.n_tokens)

    def table(self, language: str) -> pd.DataFrame:
        """Return one row per neuron, with the columns of `tables.COUNTS`."""
        columns = {
            "language": language,
            "neuron": np.arange(self.active.size),
            "n_tokens": self.n_tokens,
            "active": self.active.ravel(),
            "size": self.size.ravel(),
        }
        return pd.DataFrame(columns).astype(COUNTS)


def of_table(rows: pd.DataFrame, shape: tuple[int, int]) -> Activity:
    """Undo `Activity.table`.

    Args:
        rows: Those of one language.
        shape: Layers, and neurons per layer.
    """
    ordered = rows.sort_values("neuron")
    active, size = ordered["active"].to_numpy(np.int64), ordered["size"].to_numpy(np.float64)
    return Activity(int(rows["n_tokens"].iloc[0]), active.reshape(shape), size.reshape(shape))


@torch.no_grad()
def measure(lm: LanguageModel, texts: Sequence[Text]) -> Activity:
    """Count at how many tokens of some texts each neuron is active.

    After Tang et al. 2024 (arXiv 2402.16438, section 2.2): a neuron is active where its gate, after
    the activation function, is above 0; of SiLU and GELU that is where the gate's projection is. In
    an MLP without a gate it is active where the hidden unit is above 0. Special tokens around a
    text are not counted.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("expected at least one text to measure activity on, got none")
    gates, part = gate_outputs(lm)
    shape, n_tokens = (lm.n_layers, lm.n_neurons), 0
    active, size = np.zeros(shape, dtype=np.int64), np.zeros(shape)

    def found(one: Pass) -> tuple[np.ndarray, np.ndarray, int]:
        at = Everywhere(one.at)

        def count(x: Tensor) -> Tensor:
            return (part(x).flatten(0, 1)[at.near(x)] > 0).sum(0)

        def add(x: Tensor) -> Tensor:
            return x.flatten(0, 1)[at.near(x)].float().abs().sum(0, dtype=torch.float64)

        with (
            hooks.record(gates, count) as counted,
            hooks.record(site_modules(lm, "hidden"), add) as added,
        ):
            run(lm, one)
        counts, sizes = (lm.stacked(x, 0).cpu().numpy() for x in (counted, added))
        return counts, sizes, len(one.at)

    for counts, sizes, n in on_passes(lm, texts, found):
        active += counts
        size += sizes
        n_tokens += n
    return Activity(n_tokens, active, size / n_tokens)


def gate_outputs(lm: LanguageModel) -> tuple[hooks.Modules, hooks.Change]:
    """Return where a neuron's sign is read in each layer, and which part of it: see `measure`."""
    if lm.architecture.gate is not None:
        return site_modules(lm, "gate"), lambda x: x
    if (path := lm.architecture.gate_up) is not None:
        fused = [(block.get_submodule(path), False) for block in lm.blocks]
        return fused, lambda x: x.chunk(2, dim=-1)[0]
    return site_modules(lm, "hidden"), lambda x: x
