"""Neurons that several languages share: counts, and the counts that mismatched sets give."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from neuron_atlas.knowledge_neurons import Sets
from neuron_atlas.neurons import matched_random

AtLeast = int | Literal["all"]


@dataclass(frozen=True)
class Members:
    """Sets of the same items in several languages, as one row a neuron.

    Attributes:
        items: Names of the items: facts, or relations.
        groups: A label of each item, such as the relation of a fact.
        n_languages: In how many languages each item has a set.
        language: Language of each row.
        item: Item of each row, an index of `items`.
        neuron: Flat index of each row.
    """

    items: tuple[str, ...]
    groups: tuple[str, ...]
    n_languages: Int[np.ndarray, " item"]
    language: Int[np.ndarray, " row"]
    item: Int[np.ndarray, " row"]
    neuron: Int[np.ndarray, " row"]


def members(sets: Mapping[str, Sets], groups: Mapping[str, str]) -> Members:
    """Gather the items that have a set, which may be empty, in at least two languages.

    Args:
        sets: Language to the set of each item.
        groups: Group of each item.
    """
    count = pd.Series([item for found in sets.values() for item in found]).value_counts()
    names = tuple(sorted(str(item) for item in count.index[count >= 2]))
    place = {name: i for i, name in enumerate(names)}
    rows = [
        (number, place[item], neuron)
        for number, found in enumerate(sets.values())
        for item, chosen in sorted(found.items())
        if item in place
        for neuron in chosen.tolist()
    ]
    language, item, neuron = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Members(
        items=names,
        groups=tuple(groups[name] for name in names),
        n_languages=count.reindex(names).to_numpy(np.int64),
        language=language,
        item=item,
        neuron=neuron,
    )


def needed(found: Members, at_least: AtLeast) -> Int[np.ndarray, " item"]:
    """Return in how many languages an item's neuron has to be, at most all of the item's.

    `all` is the strict intersection of Chen et al. 2024 (arXiv 2308.13198, equation 8).

    Raises:
        ValueError: `at_least` is below 2.
    """
    if at_least == "all":
        return found.n_languages
    if at_least < 2:
        raise ValueError(
            f"language_neurons.min_languages must be 2 or more, or all, got {at_least}"
        )
    return np.asarray(np.minimum(found.n_languages, at_least))


def shared(found: Members) -> pd.DataFrame:
    """Return `item`, `neuron` and `n_languages` of every neuron of every item."""
    width = int(found.neuron.max(initial=0)) + 1
    codes, counts = np.unique(found.item * width + found.neuron, return_counts=True)
    columns = {"item": codes // width, "neuron": codes % width, "n_languages": counts}
    return pd.DataFrame(columns)


def counts(table: pd.DataFrame, wanted: Int[np.ndarray, " item"]) -> Int[np.ndarray, " item"]:
    """Return how many neurons of each item at least `wanted` languages share.

    Args:
        table: From `shared`.
        wanted: From `needed`.
    """
    kept = enough(table, wanted)["item"].to_numpy(np.int64)
    return np.asarray(np.bincount(kept, minlength=len(wanted)))


def enough(table: pd.DataFrame, wanted: Int[np.ndarray, " item"]) -> pd.DataFrame:
    """Return the neurons that at least `wanted` languages share."""
    kept: pd.DataFrame = table[table["n_languages"].to_numpy() >= wanted[table["item"].to_numpy()]]
    return kept


def profile(
    table: pd.DataFrame, sets: Int[np.ndarray, " item"], n_languages: int
) -> Float[np.ndarray, " k"]:
    """Return, for k from 2 to all languages, the mean count over the items with k sets or more.

    Args:
        table: From `shared`.
        sets: In how many languages each item has a set.
        n_languages: All languages.

    Returns:
        Neurons an item; NaN where no item has as many sets.
    """
    ks = np.arange(2, n_languages + 1)
    neurons = (table["n_languages"].to_numpy()[:, None] >= ks).sum(0)
    there = (sets[:, None] >= ks).sum(0)
    return np.asarray(np.where(there > 0, neurons / np.maximum(there, 1), np.nan))


def mismatched(found: Members, rng: np.random.Generator, *, within: bool = False) -> Members:
    """Return the same sets, dealt out anew to the items of each language by itself.

    Item A's set in one language meets item B's in another. A language's sets go only to items that
    have a set there, so that each item keeps its number of languages.

    Args:
        found: The sets.
        rng: Source of the deal.
        within: Deal within the items' groups alone.
    """
    target = np.empty_like(found.item)
    group = np.unique(np.array(found.groups), return_inverse=True)[1]
    for language in np.unique(found.language).tolist():
        rows = found.language == language
        there = np.unique(found.item[rows])
        dealt = np.arange(len(found.items))
        for part in np.unique(group[there]) if within else [None]:
            some = there if part is None else there[group[there] == part]
            dealt[some] = rng.permutation(some)
        target[rows] = dealt[found.item[rows]]
    return Members(
        found.items, found.groups, found.n_languages, found.language, target, found.neuron
    )


def random_members(
    found: Members, sizes: Mapping[int, Float[np.ndarray, "layer neuron"]], rng: np.random.Generator
) -> Members:
    """Return matched random sets of the same sizes in place of the sets.

    Args:
        found: The sets.
        sizes: By language, the activation sizes that draws match.
        rng: Source of the draws.
    """
    neuron = found.neuron.copy()
    for language, item in sorted(
        set(zip(found.language.tolist(), found.item.tolist(), strict=True))
    ):
        rows = (found.language == language) & (found.item == item)
        neuron[rows] = matched_random(found.neuron[rows], sizes[language], rng=rng, n_draws=1)[0]
    return Members(found.items, found.groups, found.n_languages, found.language, found.item, neuron)
