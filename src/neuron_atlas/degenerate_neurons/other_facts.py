"""Test whether neurons that can replace one another also matter to other facts.

Two neurons that do the same and nothing else are redundant; degenerate ones have uses of their own
(Edelman & Gally 2001, PNAS 98; Chen et al. 2024, arXiv 2308.13198, section 1).
"""

from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.degeneracy import Members
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline.streams import stream


def both_matter_elsewhere(
    prompts: FactPrompts,
    asked: pd.DataFrame,
    sets: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> pd.Series:
    """Tell for each degenerate pair whether each of its neurons alone matters to other facts.

    Args:
        prompts: The model and its prompts.
        asked: `fact` and `template` of the prompts to test on.
        sets: Judged sets: `fact`, `members`, `size`, `degenerate`.
        source: Activation sizes, which the random neurons match.
        how: How many facts and random neurons to use, and which drops are negligible.
        seed: The seed.

    Returns:
        One truth value per set; false for all but degenerate pairs.
    """
    pairs = sets[sets["degenerate"] & (sets["size"] == 2)]
    useful: set[tuple[str, int]] = set()
    for name, own in pairs.groupby("fact"):
        fact, others = str(name), asked[asked["fact"] != name]
        members = np.array(sorted({n for s in own["members"] for n in s}), dtype=np.int64)
        found = _matter(prompts, members, others, source, how, fact=fact, seed=seed)
        useful |= {(fact, n) for n in members[found].tolist()}
    both = [
        all((fact, n) in useful for n in members)
        for fact, members in zip(pairs["fact"], pairs["members"], strict=True)
    ]
    return pd.Series(both, index=pairs.index, dtype=bool).reindex(sets.index, fill_value=False)


def _matter(
    prompts: FactPrompts,
    members: Int[np.ndarray, " neuron"],
    others: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    fact: str,
    seed: int,
) -> Bool[np.ndarray, " neuron"]:
    """Compare each neuron's largest drop over some other facts with that of its random neurons."""
    names = ("degenerate_neurons", "other facts", fact)
    number = [stream(seed, *names, str(other)).random() for other in others["fact"]]
    some = others.iloc[np.sort(np.argsort(number, kind="stable")[: how.use.n_facts])]
    random = _draws(members, source, names, seed=seed, n=how.use.n_draws)
    tried = np.concatenate([members[:, None], random], 1)
    sets: list[Members] = [(n,) for n in np.unique(tried).tolist()]
    wanted = [
        PromptSets(f, int(t), sets) for f, t in zip(some["fact"], some["template"], strict=True)
    ]
    seen = [one.drops for one in prompts.suppress(wanted)]
    drop = np.array([[[one[(n,)] for one in seen] for n in row] for row in tried.tolist()])
    return degeneracy.exceeds_random(drop[:, 0], drop[:, 1:], negligible=how.rule.negligible)


def _draws(
    members: Int[np.ndarray, " neuron"],
    source: RelationSets,
    names: tuple[str, ...],
    *,
    seed: int,
    n: int,
) -> Int[np.ndarray, "neuron draw"]:
    """Draw random neurons that match each member in layer and size."""
    draw = partial(source.matched, names=names, seed=seed, n_draws=n)
    return np.stack([draw(member[None])[:, 0] for member in members])
