"""Which neurons: the ones of highest average precision, and random ones beside them."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.detectors.average_precision import (
    average_precision,
    rank,
    standardised_gap,
)
from neuron_atlas.neurons.addresses import top_k
from published.places import Places

NEGATIVES = 4  # per positive
NEAREST = 8  # neurons of like strength among which a matched one is drawn
Chosen = Int[np.ndarray, " k"]


def negatives(
    positive: Bool[np.ndarray, " prompt"], rng: np.random.Generator
) -> Int[np.ndarray, " negative"]:
    """Draw four times as many prompts of other relations, or all of them if there are fewer."""
    others = np.flatnonzero(~positive)
    wanted = min(len(others), NEGATIVES * int(positive.sum()))
    return rng.choice(others, wanted, replace=False)


def highest(
    values: Float[Tensor, "prompt neuron"],
    positive: Bool[np.ndarray, " prompt"],
    negative: Int[np.ndarray, " negative"],
    k: int,
) -> tuple[Chosen, Float[np.ndarray, " k"]]:
    """Return the k neurons of highest average precision, best first, and their precision.

    Ties, which the paper leaves open, go to the larger standardised gap and the lower index.
    """
    used = torch.from_numpy(np.concatenate([np.flatnonzero(positive), negative]))
    group = (torch.arange(len(used)) < int(positive.sum()))[None]
    scores = average_precision(values[used], group)[0]
    chosen = top_k(rank(scores, standardised_gap(values[used], group)[0]), k)
    return chosen, scores[torch.from_numpy(chosen)].numpy()


def unmatched(places: Places, k: int, rng: np.random.Generator) -> Chosen:
    """Draw k neurons of the whole model, as the paper does."""
    return rng.choice(places.total, k, replace=False)


def layer_matched(places: Places, chosen: Chosen, rng: np.random.Generator) -> Chosen:
    """Draw as many other neurons of each layer as are chosen there, whatever their site."""
    drawn = []
    for layer, count in zip(*np.unique(chosen // places.width, return_counts=True), strict=True):
        every = np.arange(layer * places.width, (layer + 1) * places.width)
        drawn.append(rng.choice(np.setdiff1d(every, chosen), count, replace=False))
    return np.concatenate(drawn)


def strength_matched(
    places: Places, chosen: Chosen, strength: Float[np.ndarray, " total"], rng: np.random.Generator
) -> Chosen:
    """Draw for each chosen neuron another of its layer and site, of nearly its strength.

    Among the nearest that are free; the strongest choose first, because they have the fewest alike.
    """
    taken = np.zeros(places.total, dtype=bool)
    taken[chosen] = True
    log = np.log(np.maximum(strength, 1e-12))
    drawn = np.empty_like(chosen)
    groups = places.groups()
    number = np.searchsorted([g[-1] for g in groups], chosen)
    for place in np.argsort(-strength[chosen], kind="stable").tolist():
        free = groups[number[place]]
        free = free[~taken[free]]
        gap = np.abs(log[free] - log[chosen[place]])
        near = free[np.argsort(gap, kind="stable")[:NEAREST]]
        drawn[place] = rng.choice(near)
        taken[drawn[place]] = True
    return drawn
