"""The relation neurons of a run, from DVC's cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dvc.repo import Repo
from jaxtyping import Int64

from neuron_atlas.comparison.recorded import StageRecord
from neuron_atlas.neurons.relation_sets import SETS
from neuron_atlas.pipeline import store

FOLDER = "data/relation_neurons"
STAGE = "relation_neurons"
MODEL = "data/model"
Name = tuple[str, str]  # a source (a language, or `pooled`) and a relation


@dataclass(frozen=True)
class StoredSets:
    """A run's relation neurons.

    Attributes:
        sets: Flat neuron indices, best first.
        n_neurons: Neurons of the model.
        model: The hash of the model's folder: neurons of two models have nothing in common.
    """

    sets: Mapping[Name, Int64[np.ndarray, " k"]]
    n_neurons: int
    model: str


class NotInCache(Exception):
    """What git does not hold is not in the cache either."""


def stored_sets(repo: Repo, records: Sequence[StageRecord]) -> StoredSets:
    """Read the relation neurons that a stage recorded, from the cache alone.

    Args:
        repo: The repository.
        records: The stages of a commit or of the workspace.

    Raises:
        NotInCache: a file is not in the cache.
        ValueError: a file is not what the stage writes.
    """
    written = {path: content for record in records for path, content in record.written.items()}
    listing = written[FOLDER].listing if FOLDER in written else None
    if listing is None or MODEL not in written:
        raise NotInCache(FOLDER)
    summary = store.read_json(_file(repo, listing, "summary.json"))
    table = store.read_table(_file(repo, listing, SETS), ["source", "relation", "rank", "neuron"])
    ordered = table.sort_values(["source", "relation", "rank"])
    found = {
        (str(source), str(relation)): rows["neuron"].to_numpy(np.int64)
        for (source, relation), rows in ordered.groupby(["source", "relation"])
    }
    n_neurons = int(summary["n_layers"]) * int(summary["n_neurons"])
    return StoredSets(found, n_neurons, written[MODEL].md5)


def _file(repo: Repo, listing: Mapping[str, str], name: str) -> Path:
    """Return where the cache has a file of a folder.

    Raises:
        NotInCache: it is not there.
    """
    path = Path(repo.cache.local.oid_to_path(listing[name])) if name in listing else None
    if path is None or not path.exists():
        raise NotInCache(f"{FOLDER}/{name}")
    return path
