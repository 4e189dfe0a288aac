"""Which neurons are ablated one by one: the best of every method, and random ones of each layer."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int64


def best(scores: Float[np.ndarray, " neuron"], k: int) -> Int64[np.ndarray, " best"]:
    """Return the flat indices of the k largest scores, best first; of equal ones, the first."""
    return np.argsort(-scores, kind="stable")[:k].astype(np.int64)


def sample(
    tops: Iterable[Int64[np.ndarray, " _"]],
    *,
    n_layers: int,
    n_neurons: int,
    per_layer: int,
    rng: np.random.Generator,
) -> Int64[np.ndarray, " sampled"]:
    """Return the union of the tops and `per_layer` others of each layer, flat and ascending.

    A layer with fewer neurons left gives all of them.

    Args:
        tops: The best neurons of each method.
        n_layers: Layers of the model.
        n_neurons: Neurons of a layer.
        per_layer: How many are drawn, each other neuron of a layer with the same chance.
        rng: Source of the draw.
    """
    strong = np.unique(np.concatenate([np.empty(0, np.int64), *tops]))
    drawn = [strong]
    for layer in range(n_layers):
        order = layer * n_neurons + rng.permutation(n_neurons)  # whatever the tops are
        drawn.append(order[~np.isin(order, strong)][:per_layer])
    return np.sort(np.concatenate(drawn)).astype(np.int64)
