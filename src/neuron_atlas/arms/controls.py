"""A set of neurons and what it is compared with on one relation's questions, at equal push."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from neuron_atlas.arms import push
from neuron_atlas.arms.arm import Arm, Scaled, Tables, edits
from neuron_atlas.arms.push import CleanValues
from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline.streams import Name, stream
from neuron_atlas.scoring.ablation import Edits


@dataclass(frozen=True)
class Asked:
    """One relation's questions in one language, as controls see them.

    Attributes:
        relation: The relation.
        clean: Neuron values of its identification prompts; strengths are matched on these.
        tables: By name, the values that neurons are set to.
        names: What tells its draws from all others'.
        seed: Of the draws.
    """

    relation: str
    clean: CleanValues
    tables: Tables
    names: tuple[Name, ...]
    seed: int

    @property
    def takes_directions(self) -> bool:
        """Whether the neurons are hidden units, by which a direction can be added."""
        return self.clean.writing.site == "hidden"

    def table_of(self, relation: str) -> str:
        """Return the name of the table with the values that a relation's set gets."""
        return relation if relation in self.tables else ""

    def drawn(self, source: str, relations: Sequence[str], n: int) -> list[str]:
        """Draw other relations, each by a number of its own, so that one more changes little."""
        others = [r for r in relations if r != self.relation]
        number = {r: stream(self.seed, *self.names, "other", source, r).random() for r in others}
        return sorted(sorted(others, key=number.__getitem__)[:n])

    def push_matched(
        self, own: Arm, found: RelationSets, *, kind: str, n_draws: int
    ) -> Iterator[Scaled]:
        """Draw sets that match one in layers and strength, one by one, and give them its push.

        A neuron's strength is its own push: rms |w' - w| |v| over the asked relation's
        identification prompts.
        """
        draws = controls.matched_random(
            own.neurons,
            self.clean.strength(self.tables[own.table]),
            names=(*self.names, "push", own.source, own.relation),
            seed=self.seed,
            n_draws=n_draws,
            exclude=found.banned,
        )
        for i, drawn in enumerate(draws):
            yield Scaled(replace(own, kind=kind, neurons=drawn, draw=i), (own,))

    def size_matched(
        self, own: Arm, found: RelationSets, *, kind: str, n_draws: int
    ) -> Iterator[Scaled]:
        """Draw sets that match one in layers and activation sizes, whatever their push."""
        names = (*self.names, "size", own.source, own.relation)
        draws = found.matched(own.neurons, names=names, seed=self.seed, n_draws=n_draws)
        for i, drawn in enumerate(draws):
            yield Scaled(replace(own, kind=kind, neurons=drawn, draw=i))

    def directions(self, own: Arm, *, kind: str, n_draws: int) -> Iterator[Scaled]:
        """Draw directions of the residual stream, in a set's layers and with its push."""
        moves = self.clean.moves(edits([own], self.tables))[0]
        lengths, names = push.layer_norms(moves), (*self.names, "direction", own.source)
        drawn = [
            push.direction(lengths, moves.shape[-1], stream(self.seed, *names, own.relation, i))
            for i in range(n_draws)
        ]
        bare = replace(own, kind=kind, neurons=own.neurons[:0])
        for i, added in enumerate(self.clean.writing.hidden_units(torch.stack(drawn))):
            yield Scaled(replace(bare, draw=i, added=added), (own,))


def scaled(
    planned: Sequence[Scaled], prepared: Edits, clean: CleanValues
) -> tuple[Float[np.ndarray, "arm prompt"], Float[np.ndarray, "arm prompt"]]:
    """Return the gain that gives each arm, on each prompt, the push that it is to have; and it.

    A push is a property of the question as it is asked without intervention, not of what follows,
    so that scaling by it uses nothing of what is measured.

    Args:
        planned: The arms; those whose push others get are among them.
        prepared: The same, for the engine.
        clean: The prompts.
    """
    place = {one.arm: i for i, one in enumerate(planned)}
    models = {i: [place[arm] for arm in one.to] for i, one in enumerate(planned) if one.to}
    return equal_pushes(prepared, clean, models, {i: planned[i].arm.alpha for i in models})


def equal_pushes(
    prepared: Edits,
    clean: CleanValues,
    models: Mapping[int, Sequence[int]],
    alpha: Mapping[int, float] | None = None,
) -> tuple[Float[np.ndarray, "arm prompt"], Float[np.ndarray, "arm prompt"]]:
    """Return the gain of each edit on each prompt, and its push; see `scaled`.

    Args:
        prepared: The edits.
        clean: The prompts.
        models: By the place of an edit that is scaled, the places of those whose least push it
            gets; the others go all the way.
        alpha: What that push is multiplied by; 1 where it says nothing.
    """
    moves, some = clean.moves(prepared), list(models)
    gains = np.ones((len(moves), clean.n))
    known = clean.pushes(moves, gains)
    if some:
        times = np.array([(alpha or {}).get(i, 1.0) for i in some])[:, None]
        wanted = times * [known[list(models[i])].min(0) for i in some]
        gains[some] = clean.gains(moves[some], wanted)
    return gains, clean.pushes(moves, gains)
