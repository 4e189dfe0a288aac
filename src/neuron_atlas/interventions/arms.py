"""The arms of an interference run: which sets of neurons it switches off, on which facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.interventions.settings import Interference
from neuron_atlas.neurons.relation_sets import RelationSets


@dataclass(frozen=True)
class Arm:
    """One set of neurons to switch off, and the facts on which to measure it.

    Attributes:
        kind: `set` (a language's set, measured on every relation), `random` (its matched random
            sets, likewise), `dose` (a part of it, on its own relation), `transfer` (any source's
            set, on its own relation), `transfer_random` (its matched random sets).
        source: `pooled`, or the language in which the set was found.
        relation: The relation whose set it is.
        neurons: Flat indices.
        order: How a dose was chosen; empty otherwise.
        draw: Number of the random draw; -1 if nothing is drawn.
        everywhere: Whether it is measured on every relation's facts, or on its own relation's only.
    """

    kind: str
    source: str
    relation: str
    neurons: Int[np.ndarray, "_"]
    order: str = ""
    draw: int = -1
    everywhere: bool = False

    @property
    def k(self) -> int:
        """Number of neurons."""
        return len(self.neurons)


def interference_arms(source: str, found: RelationSets, how: Interference) -> list[Arm]:
    """List the arms of one language's own sets, measured on every relation.

    Args:
        source: The language.
        found: Its sets.
        how: How many controls to draw, and their seed.
    """
    arms: list[Arm] = []
    for relation in sorted(found.sets):
        rng = np.random.default_rng([how.seed, *f"{source} {relation}".encode()])
        random = found.matched(found.sets[relation], n_draws=how.n_draws, rng=rng)
        own = Arm("set", source, relation, found.sets[relation], everywhere=True)
        arms.append(own)
        arms += [replace(own, kind="random", neurons=d, draw=i) for i, d in enumerate(random)]
        arms += _doses(own, random, how, rng)
    return arms


def transfer_arms(found: Mapping[str, RelationSets], how: Interference) -> list[Arm]:
    """List the arms of every source's sets, each measured on its own relation in any language."""
    arms: list[Arm] = []
    for source in sorted(found):
        for relation in sorted(found[source].sets):
            rng = np.random.default_rng([how.seed, *f"{source} {relation}".encode()])
            own = Arm("transfer", source, relation, found[source].sets[relation])
            random = found[source].matched(own.neurons, n_draws=how.n_draws, rng=rng)
            control = replace(own, kind="transfer_random")
            arms.append(own)
            arms += [replace(control, neurons=d, draw=i) for i, d in enumerate(random)]
    return arms


def _doses(
    own: Arm,
    random: Int[np.ndarray, "draw k"],
    how: Interference,
    rng: np.random.Generator,
) -> list[Arm]:
    """List parts of a set: its best neurons, its worst, random ones, and parts of matched sets.

    Column i of a matched draw matches the set's neuron of rank i, so the first columns are the
    control of the best neurons. Whole sets are left out: `set` and `random` have them.
    """
    base = replace(own, kind="dose", everywhere=False)
    n = min(how.n_dose_draws, len(random))
    shuffled = [rng.permutation(own.neurons) for _ in range(n)]
    found = []
    for k in dose_sizes(own.k, (*how.doses, 0.5)):  # the test of cumulativity needs the half
        found.append(replace(base, order="rank", neurons=own.neurons[:k]))
        found.append(replace(base, order="reverse", neurons=own.neurons[-k:]))
        for i in range(n):
            found.append(replace(base, order="random_order", neurons=shuffled[i][:k], draw=i))
            found.append(replace(base, order="matched_random", neurons=random[i][:k], draw=i))
    return found


def dose_sizes(k: int, shares: Sequence[float]) -> list[int]:
    """Return the distinct numbers of neurons, at least one and fewer than all."""
    return sorted({max(1, round(share * k)) for share in shares} - {k})


def describe(arms: Sequence[Arm]) -> pd.DataFrame:
    """Return the arms as a table, one row each, in their order."""
    columns = ["kind", "source", "relation", "order", "k", "draw"]
    return pd.DataFrame([[getattr(arm, c) for c in columns] for arm in arms], columns=columns)
