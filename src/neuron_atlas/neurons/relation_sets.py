"""The sets of relation neurons of one language, or of all pooled, as they are stored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.torch import load_file

from neuron_atlas.neurons import controls
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import Name

POOLED, SETS, SIZE = "pooled", "sets.parquet", "size.safetensors"
NO_SIBLINGS = "no_siblings.parquet"  # of relations that have siblings: not their negatives
SELECTORS = "selectors.parquet"  # sets by other selectors than average precision
WITHOUT_SIBLINGS = "average_precision_no_siblings"  # its sets, in the table of selectors
LEFT_OUT = "attribution_patching_left_out"  # what it finds for all relations but one
BESIDE = (WITHOUT_SIBLINGS, LEFT_OUT)  # measured beside the selectors, no rivals of them
SetsByRelation = dict[str, Int[np.ndarray, " k"]]


@dataclass(frozen=True)
class RelationSets:
    """One source's sets as read from disk, and what its controls must match.

    Attributes:
        sets: By relation, flat neuron indices, best first.
        size: Mean absolute activation.
        banned: Flat indices of units that neither sets nor controls may hold.
        source: The language, or `pooled`.
    """

    sets: SetsByRelation
    size: Float[np.ndarray, "layer neuron"]
    banned: Int[np.ndarray, "_"]
    source: str = POOLED

    def matched(
        self, chosen: Int[np.ndarray, " k"], *, names: tuple[Name, ...], seed: int, n_draws: int
    ) -> Int[np.ndarray, "{n_draws} k"]:
        """Draw random sets that match a set in layers and activation sizes; none is banned.

        Args:
            chosen: The set.
            names: What the draws are for, the stage first; `source` is added.
            seed: The seed.
            n_draws: Sets to draw.
        """
        return controls.matched_random(
            chosen,
            self.size,
            names=(*names, self.source),
            seed=seed,
            n_draws=n_draws,
            exclude=self.banned,
        )


def read_sets(folder: Path, *, file: str = SETS) -> RelationSets:
    """Read the sets of one source, `data/relation_neurons/<language or pooled>`.

    Args:
        folder: The source's.
        file: `SETS`, or `NO_SIBLINGS` for sets that were chosen without siblings as negatives.
    """
    table = store.read_table(folder / file).sort_values(["relation", "rank"])
    sets = {str(r): rows["neuron"].to_numpy(np.int64) for r, rows in table.groupby("relation")}
    tensors = load_file(folder / SIZE)
    banned = tensors["banned"].flatten().nonzero().flatten().numpy()
    return RelationSets(sets, tensors["size"].double().numpy(), banned, folder.name)


def read_selectors(folder: Path) -> dict[str, SetsByRelation]:
    """Read one source's sets by other selectors than average precision, by selector.

    `mean_gap` and `linear_probe` are found on the same prompts as the sets of `read_sets`, and are
    as large; see `relation_neurons.best_sets.by_other_selectors`.
    """
    table = store.read_table(folder / SELECTORS).sort_values(["selector", "relation", "rank"])
    found: dict[str, SetsByRelation] = {}
    for (selector, relation), rows in table.groupby(["selector", "relation"]):
        found.setdefault(str(selector), {})[str(relation)] = rows["neuron"].to_numpy(np.int64)
    return found
