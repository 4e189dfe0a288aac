"""Neurons that several languages share: how many, and how many by chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.neurons.relation_sets import RelationSets

AtLeast = int | Literal["all"]
ROUNDING = 1e-12  # of means that are compared with the mean of a null


@dataclass(frozen=True)
class ItemSets:
    """Sets of the same items in several languages, one row per neuron of a set.

    Attributes:
        items: Names of the items: facts, or relations.
        groups: A label of each item, such as the relation of a fact.
        n_languages: Number of languages in which each item has a set.
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


def members(sets: Mapping[str, SetsByFact], groups: Mapping[str, str]) -> ItemSets:
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
    return ItemSets(
        items=names,
        groups=tuple(groups[name] for name in names),
        n_languages=count.reindex(names).to_numpy(np.int64),
        language=language,
        item=item,
        neuron=neuron,
    )


def needed(found: ItemSets, at_least: AtLeast) -> Int[np.ndarray, " item"]:
    """Return in how many languages each item's neuron must be: at most in all of the item's.

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


def languages_per_neuron(found: ItemSets) -> pd.DataFrame:
    """Return `item`, `neuron` and `n_languages` of every neuron of every item."""
    item, neuron, n_languages = _languages_per_neuron(found)
    return pd.DataFrame({"item": item, "neuron": neuron, "n_languages": n_languages})


def _languages_per_neuron(found: ItemSets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = int(found.neuron.max(initial=0)) + 1
    codes, counts = np.unique(found.item * width + found.neuron, return_counts=True)
    return codes // width, codes % width, counts


def in_enough_languages(table: pd.DataFrame, wanted: Int[np.ndarray, " item"]) -> pd.DataFrame:
    """Return the rows of `languages_per_neuron` whose neuron at least `wanted` languages share."""
    kept: pd.DataFrame = table[table["n_languages"].to_numpy() >= wanted[table["item"].to_numpy()]]
    return kept


def shared_neurons(
    found: ItemSets, wanted: Int[np.ndarray, " item"], languages: Sequence[str], n_neurons: int
) -> pd.DataFrame:
    """Return the neurons that at least `wanted` languages share, by item, with their languages.

    Returns:
        `item` (its name), `neuron`, `n_languages`, `languages`, `layer` and `index`.
    """
    kept = in_enough_languages(languages_per_neuron(found), wanted)
    keys = ["item", "neuron"]
    rows = pd.DataFrame({"item": found.item, "neuron": found.neuron, "language": found.language})
    held = rows.assign(language=np.array(languages, dtype=object)[rows["language"]])
    lists = held.groupby(keys)["language"].agg(sorted).rename("languages")
    placed = kept.join(lists, on=keys) if len(kept) else kept.assign(languages=[])
    return placed.assign(
        item=np.array(found.items, dtype=object)[placed["item"]],
        layer=placed["neuron"] // n_neurons,
        index=placed["neuron"] % n_neurons,
    )


def mismatched(
    found: ItemSets, rng: np.random.Generator, *, n_deals: int, within: bool = False
) -> Iterator[ItemSets]:
    """Yield the same sets, dealt out anew to the items, in each language by itself.

    This pairs item A's set in one language with item B's in another. A language's sets go only to
    items that have a set there, so each item keeps its number of languages.

    Args:
        found: The sets.
        rng: Source of the deals.
        n_deals: How many.
        within: Deal only within the items' groups.
    """
    group = np.unique(np.array(found.groups), return_inverse=True)[1]
    group = group if within else np.zeros_like(group)
    n_languages = int(found.language.max(initial=-1)) + 1
    target = np.tile(np.arange(len(found.items)), (n_languages, n_deals, 1))
    for language in range(n_languages):
        there = np.unique(found.item[found.language == language])
        for part in np.unique(group[there]):
            some = there[group[there] == part]
            target[language][:, some] = rng.permuted(target[language][:, some], axis=1)
    for deal in range(n_deals):
        yield replace(found, item=target[found.language, deal, found.item])


def own_sets_only(found: ItemSets, dealt: ItemSets) -> ItemSets:
    """Return a deal in which different items' neurons differ: only sets of one item can share any.

    With two facts per relation and six languages, three sets of one fact come together in every
    deal. So a deal within groups is not a null for neurons that this alone explains.
    """
    width = int(found.neuron.max(initial=0)) + 1
    return replace(dealt, neuron=found.item * width + found.neuron)


def random_members(
    found: ItemSets,
    sources: Sequence[RelationSets],
    *,
    seed: int,
    n_draws: int,
) -> list[ItemSets]:
    """Return matched random sets, of the same sizes, in place of the sets.

    Args:
        found: The sets.
        sources: Of each language, the activation sizes that draws match.
        seed: The seed.
        n_draws: How many times all sets are drawn.
    """
    neurons = np.tile(found.neuron, (n_draws, 1))
    starts = np.flatnonzero(np.diff(found.language) | np.diff(found.item)) + 1
    for rows in np.split(np.arange(len(found.neuron)), starts):  # a set's rows are together
        if not rows.size:
            continue
        names = ("language_neurons", "matched", found.items[found.item[rows[0]]])
        source = sources[int(found.language[rows[0]])]
        neurons[:, rows] = source.matched(
            found.neuron[rows], names=names, seed=seed, n_draws=n_draws
        )
    return [replace(found, neuron=drawn) for drawn in neurons]


@dataclass(frozen=True)
class Tally:
    """Counts of shared neurons: of the sets themselves, or of one deal or draw of a null.

    Attributes:
        profile: For k = 2, 3, ...: the mean number of neurons that at least k languages share,
            over the items that have at least k sets; NaN where no item has.
        counts: Neurons of each item that enough languages share.
    """

    profile: Float[np.ndarray, " k"]
    counts: Int[np.ndarray, " item"]

    @property
    def mean(self) -> float:
        """Mean number of neurons per item that enough languages share; 0 without items."""
        return float(self.counts.mean()) if self.counts.size else 0.0


def tally(found: ItemSets, wanted: Int[np.ndarray, " item"], n_languages: int) -> Tally:
    """Count the neurons that at least `wanted` languages share, and those of each k or more.

    Args:
        found: The sets, or those of a null.
        wanted: From `needed`.
        n_languages: All languages.
    """
    item, _, times = _languages_per_neuron(found)
    ks = np.arange(2, n_languages + 1)
    neurons = np.bincount(times, minlength=n_languages + 1)[::-1].cumsum()[::-1][2:]
    there = (found.n_languages[:, None] >= ks).sum(0)
    profile = np.divide(neurons, there, out=np.full(len(ks), np.nan), where=there > 0)
    kept = item[times >= wanted[item]]
    return Tally(profile, np.bincount(kept, minlength=len(wanted)))


def p_value(observed: float, null: Float[np.ndarray, " draw"]) -> float:
    """Return the one-sided permutation p, (1 + draws at least as large) / (1 + draws)."""
    return float((1 + (null >= observed - ROUNDING).sum()) / (1 + len(null)))


def by_languages(
    found: ItemSets, own: Tally, nulls: Mapping[str, Sequence[Tally]], *, against: str
) -> pd.DataFrame:
    """Return, for each k, how many neurons of an item at least k languages share.

    Args:
        found: The sets.
        own: Their tally.
        nulls: By name, the tally of each deal or draw.
        against: The null that the p-value refers to.
    """
    ks = np.arange(2, len(own.profile) + 2)
    drawn = {name: np.stack([one.profile for one in every]) for name, every in nulls.items()}
    columns: dict[str, Any] = {
        "at_least": ks,
        "n_facts": (found.n_languages[:, None] >= ks).sum(0),
        "observed": own.profile,
        **{name: values.mean(0) for name, values in drawn.items()},
        "p_value": [
            p_value(float(x), null) for x, null in zip(own.profile, drawn[against].T, strict=True)
        ],
    }
    return pd.DataFrame(columns).dropna(subset="observed", ignore_index=True)
