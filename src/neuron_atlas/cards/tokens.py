"""The tables of the tokens that neurons, and relations' sets as wholes, promote and suppress."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from neuron_atlas.cards import tables
from neuron_atlas.cards.activity import Activity
from neuron_atlas.neurons.relation_sets import POOLED, SetsByRelation
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.value_vectors import top_tokens
from neuron_atlas.value_vectors.at_head import AtHead, ValueVectors
from neuron_atlas.value_vectors.top_tokens import SHARE, TopTokens

CELLS = 1 << 25  # logits that are held at a time; a matter of memory
GROUP = 512  # neurons of which the tokens are kept on disk together


@dataclass(frozen=True)
class TokenTables:
    """Makes the tables.

    Attributes:
        top: Lists the tokens of vectors.
        width: Neurons per layer.
    """

    top: TopTokens
    width: int

    def of_neurons(
        self, neurons: Int64[np.ndarray, " carded"], sign: Int[np.ndarray, " carded"], *, key: str
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the tables `tables.TOKENS` and `tables.SCRIPTS` of some neurons.

        Args:
            neurons: Flat indices, rising.
            sign: 1, or -1 for a neuron whose value vector is turned around; see `orientation`.
            key: Names the finished parts on disk; see `checkpoints.key`.
        """
        items = pd.DataFrame({"neuron": neurons, "sign": sign})
        listed = checkpoints.in_parts(items, self._of_part, key=key, size=GROUP)
        found = listed.rename(columns={"vector": "neuron"})
        shares = found[found["token_id"] == SHARE].rename(columns={"value": "share"})
        ordered = shares.sort_values("neuron", kind="stable")
        return self._tokens(found, tables.TOKENS), tables.typed([ordered], tables.SCRIPTS)

    def of_sets(self, activity: Activity, sets: SetsByRelation) -> pd.DataFrame:
        """Return `tables.RELATION_TOKENS`: what the pooled sets as wholes promote."""
        heads, names = set_vectors(self.top.vectors, activity, sets)
        found = self.top.table(heads, np.arange(len(names)))
        relation = np.array(names, dtype=object)[found["vector"].to_numpy(np.int64)]
        return self._tokens(found.assign(relation=relation), tables.RELATION_TOKENS)

    def _of_part(self, part: pd.DataFrame) -> pd.DataFrame:
        found, vectors = [], self.top.vectors
        size = max(1, CELLS // vectors.n_tokens)
        for layer, rows in part.groupby(part["neuron"] // self.width, sort=True):
            for start in range(0, len(rows), size):
                some = rows.iloc[start : start + size]
                neurons = some["neuron"].to_numpy(np.int64)
                heads = vectors.of_neurons(int(layer), torch.from_numpy(neurons % self.width))
                sign = torch.from_numpy(some["sign"].to_numpy(np.float32)).to(heads)
                found.append(self.top.table(heads * sign[:, None], neurons))
        return tables.typed(found, top_tokens.COLUMNS)

    def _tokens(self, found: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
        rows = found[found["token_id"] != SHARE].rename(columns={"value": "logit"})
        texts = np.array(self.top.words.texts, dtype=object)[rows["token_id"].to_numpy(np.int64)]
        table = tables.typed([rows.assign(token=texts)], columns)
        return table.sort_values(next(iter(columns)), kind="stable", ignore_index=True)


def orientation(
    activity: Activity, neurons: Int64[np.ndarray, " carded"], best: pd.DataFrame
) -> Int64[np.ndarray, " carded"]:
    """Return 1, or -1 for a neuron that is lower where its relation is asked than elsewhere.

    A gated unit may be negative where it is active; there it writes its value vector turned around.
    The relation is its best one, in its best language; a neuron without a relation takes the sign
    of its mean value.

    Args:
        activity: Of all neurons.
        neurons: Flat indices.
        best: From `memberships.best`.
    """
    change = activity.change.reshape(len(activity.sources), len(activity.relations), -1)
    value = activity.overall[neurons].astype(np.float64)
    chosen = best.reindex(neurons)
    for place, (neuron, relation, language) in enumerate(
        zip(neurons.tolist(), chosen["best_relation"], chosen["best_language"], strict=True)
    ):
        if relation in activity.relations:
            source = language if language in activity.sources else POOLED
            own = change[activity.sources.index(source), activity.relations.index(relation), neuron]
            value[place] = own if np.isfinite(own) else value[place]
    return np.where(value < 0, -1, 1)


def set_vectors(
    vectors: ValueVectors, activity: Activity, sets: SetsByRelation
) -> tuple[AtHead, list[str]]:
    """Return what each relation's pooled set as a whole writes where the relation is asked.

    The change of the head's input when all its neurons go from their mean elsewhere to that on the
    relation's right prompts, and all others stay at that on its prompts, but for one positive
    factor. A norm behind the MLP is applied, not linearised: it weighs the layers.

    Returns:
        One vector per relation that has a right prompt and another relation beside it, and their
        names.
    """
    pooled = activity.sources.index(POOLED)
    found, names = [], []
    for relation, neurons in sorted(sets.items()):
        if relation not in activity.relations:
            continue
        place = activity.relations.index(relation)
        change = activity.change[pooled, place].ravel()[neurons]
        if np.isfinite(change).all():
            mean = activity.mean[pooled, place]
            found.append(_set_vector(vectors, neurons, change, mean))
            names.append(relation)
    empty = torch.zeros(0, vectors.lm.head.weight.shape[1], device=vectors.lm.device)
    return (vectors.at_head(torch.stack(found)) if found else empty), names


def _set_vector(
    vectors: ValueVectors,
    neurons: Int[np.ndarray, " k"],
    change: Float[np.ndarray, " k"],
    mean: Float[np.ndarray, "layer neuron"],
) -> Float[Tensor, " d_model"]:
    device, width = vectors.lm.device, mean.shape[1]
    total = torch.zeros(vectors.lm.d_model, device=device)
    for layer in np.unique(neurons // width).tolist():
        own = neurons // width == layer
        columns = vectors.columns(layer, torch.from_numpy(neurons[own] % width))
        added = torch.from_numpy(change[own]).to(columns)[None] @ columns
        norm = vectors.norm_behind(layer)
        if norm is None:
            total += vectors.behind_block(layer, added)[0]
            continue
        values = torch.from_numpy(mean[layer]).to(columns)[None]
        output = values @ vectors.columns(layer, torch.arange(width))
        total += (norm(output) - norm(output - added)).float()[0].to(device)
    return total
