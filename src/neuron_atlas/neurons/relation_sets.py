"""The sets of relation neurons of one language, or of all pooled, as they are stored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.torch import load_file

from neuron_atlas.neurons import controls
from neuron_atlas.pipeline import store

POOLED, SETS, SIZE = "pooled", "sets.parquet", "size.safetensors"
SetsByRelation = dict[str, Int[np.ndarray, " k"]]


@dataclass(frozen=True)
class RelationSets:
    """One source's sets as read from disk, and what its controls must match.

    Attributes:
        sets: By relation, flat neuron indices, best first.
        size: Mean absolute activation.
        banned: Flat indices of units that neither sets nor controls may hold.
    """

    sets: SetsByRelation
    size: Float[np.ndarray, "layer neuron"]
    banned: Int[np.ndarray, "_"]

    def matched(
        self, chosen: Int[np.ndarray, " k"], *, n_draws: int, rng: np.random.Generator
    ) -> Int[np.ndarray, "{n_draws} k"]:
        """Draw random sets that match a set in layers and activation sizes; none is banned."""
        return controls.matched_random(
            chosen, self.size, rng=rng, n_draws=n_draws, exclude=self.banned
        )


def read_sets(folder: Path) -> RelationSets:
    """Read the sets of one source, `data/relation_neurons/<language or pooled>`."""
    table = store.read_table(folder / SETS).sort_values(["relation", "rank"])
    sets = {str(r): rows["neuron"].to_numpy(np.int64) for r, rows in table.groupby("relation")}
    tensors = load_file(folder / SIZE)
    banned = tensors["banned"].flatten().nonzero().flatten().numpy()
    return RelationSets(sets, tensors["size"].double().numpy(), banned)
