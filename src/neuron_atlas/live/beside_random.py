"""What a change of neurons does to one prompt's answers, beside random neurons.

Two kinds of random sets stand beside a set: as many neurons of the same layers and of like
activation, whatever their push; and as many of the same layers whose own pushes on this prompt are
like the set's, which then are scaled to the set's push (`arms.push`). Without the second, an effect
may be that of any neurons that move the model as far.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.activations import extraction
from neuron_atlas.arms.arm import on_each_prompt
from neuron_atlas.arms.controls import equal_pushes
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.live.asking import Question
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import controls
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.log_probability import Intervene

NAME = "beside_random"  # of the random draws
CLOSE = 0.01  # share by which a push may differ and still count as equal


@dataclass(frozen=True)
class Change:
    """What is done to neurons: each becomes `value`, plus its own value times `scale`."""

    value: Float[Tensor, "layer neuron"]
    scale: float = 0.0

    def away(self, values: Float[Tensor, "layer neuron"]) -> Float[Tensor, "layer neuron"]:
        """Return how far each neuron goes from its value."""
        return self.value + (self.scale - 1) * values


@dataclass(frozen=True)
class Draws:
    """How random sets are drawn and where neurons are changed.

    Attributes:
        like: What random sets match, and the units that they may not hold.
        n: Sets of each kind.
        seed: Of the draws.
        site: Which values of the MLP are neurons.
    """

    like: RelationSets
    n: int
    seed: int
    site: Site = "hidden"


@dataclass(frozen=True)
class Effects:
    """What a set and its random sets do to answers, nats.

    Attributes:
        before: Log-probability of each answer without any change.
        after: The same with the set changed.
        same_number: Change of the log-probability under each random set of as many neurons.
        equal_push: The same under each random set of equal push, where there are such.
    """

    before: Float[np.ndarray, " answer"]
    after: Float[np.ndarray, " answer"]
    same_number: Float[np.ndarray, "draw answer"]
    equal_push: Float[np.ndarray, "draw answer"] | None = None

    def as_dict(self, place: int) -> dict[str, Any]:
        """Return what happens to one answer, ready for JSON."""
        change = float(self.after[place] - self.before[place])
        pushed = self.equal_push
        return {
            "before": float(self.before[place]),
            "after": float(self.after[place]),
            "change": change,
            "same_number": _of_draws(self.same_number[:, place], change),
            "equal_push": None if pushed is None else _of_draws(pushed[:, place], change),
        }


def _of_draws(changes: Float[np.ndarray, " draw"], change: float) -> dict[str, Any]:
    """Return mean and range of what random sets do, and how many go as far as the set."""
    return {
        "mean": float(changes.mean()),
        "lowest": float(changes.min()),
        "highest": float(changes.max()),
        "n_as_far": int((np.abs(changes) >= abs(change)).sum()),
    }


@dataclass(frozen=True)
class Pushes:
    """How far a set and its random sets move the residual stream on one prompt.

    Attributes:
        own: Of the set.
        same_number: Of each random set of as many neurons.
        equal: Of each random set of equal push; behind a norm it may stay below.
    """

    own: float
    same_number: Float[np.ndarray, " draw"]
    equal: Float[np.ndarray, " draw"]

    def as_dict(self) -> dict[str, Any]:
        """Return the pushes, ready for JSON."""
        reached = np.abs(self.equal - self.own) <= CLOSE * abs(self.own)
        return {
            "push": self.own,
            "push_of_same_number": float(self.same_number.mean()),
            "push_is_equal": bool(reached.all()),
        }


def measure(
    lm: LanguageModel,
    asked: Question,
    neurons: Int[np.ndarray, " k"],
    change: Change,
    draws: Draws,
) -> tuple[Effects, Pushes]:
    """Change a set at the answer position, then each of its random sets, and ask each time.

    Raises:
        ValueError: a layer has too few neurons left to draw from.
    """
    clean = _clean(lm, asked.prompt, draws.site)
    sets = [neurons, *_drawn(clean, neurons, change, draws)]
    edits = ablation.edits_of(sets, change.value[None], scale=[change.scale])
    scaled = {i: [0] for i in range(1 + draws.n, len(sets))}
    gains, pushes = equal_pushes(edits, clean, scaled)
    off = Intervention(lm, on_each_prompt(edits, gains), site=draws.site)
    (found,) = off.ask_beside_clean([asked.query(lm)], [range(len(sets))])
    before, after, *random = asked.apart(lm, found.values)
    changes = np.array(random) - before
    n, pushed = draws.n, pushes[:, 0]
    effects = Effects(before, after, changes[:n], changes[n:])
    return effects, Pushes(float(pushed[0]), pushed[1 : 1 + n], pushed[1 + n :])


def _drawn(
    clean: CleanValues, neurons: Int[np.ndarray, " k"], change: Change, draws: Draws
) -> list[Int[np.ndarray, " k"]]:
    """Draw the random sets of as many neurons, then those of equal push."""
    like = draws.like
    same = like.matched(neurons, names=(NAME, "number"), seed=draws.seed, n_draws=draws.n)
    strength = change.away(clean.values[0]).abs() * clean.writing.lengths
    pushing = controls.matched_random(
        neurons,
        strength.double().numpy(),
        names=(NAME, "push"),
        seed=draws.seed,
        n_draws=draws.n,
        exclude=like.banned,
    )
    return [*same, *pushing]


def _clean(lm: LanguageModel, prompt: str, site: Site) -> CleanValues:
    """Return the prompt's values at the answer position, without a change."""
    reading = extraction.reading(lm, prompt, (0, 0), "answer")
    ((_, values),) = extraction.extract(lm, [reading], site=site)
    return CleanValues(Writing(lm, site), values.float())


def opened(
    lm: LanguageModel, neurons: Int[np.ndarray, " k"], change: Change, site: Site
) -> Intervene:
    """Return what applies the set alone, as arm 0, while the model reads a batch."""
    edits = ablation.edits_of([neurons], change.value[None], scale=[change.scale])
    return ablation.row_edits(lm, edits, site=site)
