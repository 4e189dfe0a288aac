"""Which sets, and which controls of them, are switched off on one language's texts and facts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from neuron_atlas.arms.arm import Arm, Scaled
from neuron_atlas.language_specific.tables import MATCHED, OTHER, SCALED, SET
from neuron_atlas.neurons import controls

Sets = Mapping[str, Int[np.ndarray, " _"]]


@dataclass(frozen=True)
class Drawing:
    """How random neurons are drawn that stand for a language's own.

    Attributes:
        strength: Of each neuron the mean |value| on the language's texts times the norm of what it
            writes: its mean push if it is set to 0.
        every: The neurons of any language, none of which is drawn.
        n_draws: Random sets.
        seed: Of the draws.
    """

    strength: Float[np.ndarray, "layer neuron"]
    every: Int[np.ndarray, " _"]
    n_draws: int
    seed: int


def on_answers(language: str, sets: Sets, how: Drawing) -> list[Scaled]:
    """List the arms under which a language's facts are asked.

    Kinds: `set`, each language's neurons, whose `source` that language is, and `push_matched`,
    random neurons that stand for its own ones, with their push. All are set to 0. A language
    without neurons of its own has the other languages' alone.
    """
    arms = _sets(sets)
    planned = [Scaled(arm) for arm in arms.values()]
    if language in arms:
        planned += _matched(arms[language], how)
    return planned


def on_texts(language: str, sets: Sets, how: Drawing) -> list[Scaled]:
    """List the arms under which a language's texts are scored.

    As `on_answers`, and for each other language two arms with the smaller of its push and the own
    set's: `other_set`, its neurons, and `own_scaled`, the own ones; the `source` of both is the
    other language. The larger is scaled down, because a set that hardly moves on these texts would
    have to be driven far beyond the values that its neurons take.
    """
    planned = on_answers(language, sets, how)
    arms = {one.arm.source: one.arm for one in planned if one.arm.kind == SET}
    own = arms.pop(language, None)
    return [*planned, *_equal_pairs(own, list(arms.values()))] if own else planned


def _sets(sets: Sets) -> dict[str, Arm]:
    return {code: Arm(SET, code, "", chosen) for code, chosen in sets.items() if len(chosen)}


def _matched(own: Arm, how: Drawing) -> Iterator[Scaled]:
    draws = controls.matched_random(
        own.neurons,
        how.strength,
        names=("language_specific", "push", own.source),
        seed=how.seed,
        n_draws=how.n_draws,
        exclude=how.every,
    )
    for i, drawn in enumerate(draws):
        yield Scaled(replace(own, kind=MATCHED, neurons=drawn, draw=i), (own,))


def _equal_pairs(own: Arm, others: Sequence[Arm]) -> Iterator[Scaled]:
    for arm in others:
        yield Scaled(replace(arm, kind=OTHER), (own, arm))
        yield Scaled(replace(own, kind=SCALED, source=arm.source), (own, arm))


def of_equal_neurons(planned: Sequence[Scaled]) -> Int[np.ndarray, " arm"]:
    """Return of each arm the place of the first with its neurons: at gain 1 the two are the same.

    Arms share the array of their neurons where they have the same ones.
    """
    first: dict[int, int] = {}
    return np.array([first.setdefault(id(one.arm.neurons), i) for i, one in enumerate(planned)])
