"""Tables of measured arms whose truth is known, at the default run's shape.

Effects are normal or skewed around their true means, with these parts: relations differ in their
true effect and in how noisy they are; a fact moves alike in all languages; an item is a fact in one
language; every drawn set, the tested one too, has an effect of its own on a relation in a language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

RIVALS = ("mean_gap", "gradient", "patching", "logit", "probe")
K = 100


@dataclass(frozen=True)
class Shape:
    """How much is measured: unseen facts of each relation, of which each language asks some.

    Attributes:
        known: Relations that each language knows, in turn; as many as there are where it is empty.
    """

    relations: int = 12
    languages: int = 6
    facts: int = 13
    asked: int = 12
    draws: int = 20
    cross_draws: int = 4
    known: tuple[int, ...] = (12, 8, 7, 7, 6, 4)


@dataclass(frozen=True)
class Noise:
    """Standard deviations, nats, as in a run of Gemma 3 270M (see docs/calibration.md).

    Attributes:
        fact: Of an arm's effect between the facts of a relation.
        item: Of an arm's effect between the languages of a fact.
        shared: Of what all arms do to an item alike.
        drawn: Of drawn sets' mean effects on one relation in one language.
        relation: Of the logarithm of a relation's noise.
        across: Noise on other relations' facts, as a share of that on own ones.
        heterogeneity: Of relations' true effects, as a share of the mean effect.
        skewed: Whether facts and items follow a skewed distribution, with a long tail of harm.
    """

    fact: float = 0.12
    item: float = 0.25
    shared: float = 0.15
    drawn: float = 0.06
    relation: float = 0.4
    across: float = 0.4
    heterogeneity: float = 0.5
    skewed: bool = True


@dataclass(frozen=True)
class Truth:
    """True mean effects, nats; everything that pushes as hard does `push`, the rest is beyond it.

    Attributes:
        push: Of anything that pushes as hard as a set.
        unmatched: Share of the push that size-matched random sets have.
        own: Of a relation's set on its own facts; one number, or one per relation.
        other: Of other relations' sets, equally scaled, on these facts.
        cells: By (whose neurons, whose facts), beyond push-matched draws.
        first_half: Share of `own` that the better half of the set does.
        transfer: Of a foreign language's set.
        install: Of installed values, on log P(type) and on the answer.
        install_other: Of other relations' installed values.
        rival: Of the other selectors' sets; one number, or by name.
    """

    push: float = -0.1
    unmatched: float = 1 / 3
    own: float | Sequence[float] = 0.0
    other: float = 0.0
    cells: Mapping[tuple[int, int], float] = field(default_factory=dict)
    first_half: float = 0.5
    transfer: float = 0.0
    install: float = 0.0
    install_other: float = 0.0
    rival: float | Mapping[str, float] = 0.0


SCALED = 0.4  # of a set's push: where it is compared with other relations' sets


@dataclass(frozen=True)
class Arm:
    """One arm on every item: its effect, whose neurons it changes and where they were found."""

    kind: str
    relation: Int[np.ndarray, " item"]
    effect: Float[np.ndarray, " item"]
    draw: int = -1
    order: str = ""
    k: int = K
    push: float = 1.0
    source: Int[np.ndarray, " item"] | None = None


class Simulation:
    """Makes tables; one object is one simulated run."""

    def __init__(self, rng: np.random.Generator, shape: Shape, noise: Noise, truth: Truth) -> None:
        self.rng, self.shape, self.noise, self.truth = rng, shape, noise, truth
        asked = [
            rng.choice(shape.facts, size=shape.asked, replace=False)
            for _ in range(shape.relations * shape.languages)
        ]
        self.fact = np.concatenate(asked)
        places = np.repeat(np.arange(shape.relations * shape.languages), shape.asked)
        self.relation, self.language = np.divmod(places, shape.languages)
        self.scale = np.exp(noise.relation * rng.normal(size=shape.relations))[self.relation]
        self.shared = self.scale * noise.shared * self._tail(len(places))
        self.margin = rng.normal(0.4, 1.0, size=len(places))
        self.wobble = 1 + noise.heterogeneity * rng.normal(size=shape.relations)
        order = rng.permuted(np.tile(np.arange(shape.relations), (shape.languages, 1)), axis=1)
        known = np.array(shape.known or [shape.relations] * shape.languages)
        self.asked = (order < known[:, None]).T

    def own(
        self, *, doses: bool = False, rivals: bool = False, sides: bool = False
    ) -> pd.DataFrame:
        """Return the arms on the sets' own relations; `sides` adds what carries no verdict."""
        truth, at = self.truth, self.relation
        mean = np.broadcast_to(np.asarray(truth.own, np.float64), self.shape.relations)
        if isinstance(truth.own, float):
            mean = mean * self.wobble
        whole = self._effect(mean[at])
        parts = [Arm("set", at, whole)]
        for j in range(self.shape.draws):
            matched = self._effect()
            parts.append(Arm("push_matched", at, matched, draw=j))
            if j < self.shape.cross_draws and sides:
                weaker = (truth.unmatched - 1) * truth.push
                parts.append(Arm("size_matched", at, self._effect(weaker), draw=j))
                parts.append(Arm("direction", at, self._effect(), draw=j))
            if j < self.shape.cross_draws and doses:
                parts.append(self._dose("push_matched", 0.5 * matched, draw=j))
        for s in range(1, self.shape.relations):
            q = (at + s) % self.shape.relations
            parts.append(Arm("other_set", q, SCALED * self._effect(truth.other), push=SCALED))
        parts.append(Arm("own_scaled", at, SCALED * whole, push=SCALED))
        if doses:
            first = truth.push / 2 + truth.first_half * (whole - truth.push)
            parts += [self._dose("rank", first), self._dose("reverse", whole - first)]
        if rivals:
            parts += self._rivals(mean[at])
        return self._table(parts)

    def cells(self) -> pd.DataFrame:
        """Return the arms on other relations' facts."""
        parts = []
        for s in range(1, self.shape.relations):
            q = (self.relation + s) % self.shape.relations
            pairs = zip(q.tolist(), self.relation.tolist(), strict=True)
            mean = np.array([self.truth.cells.get(pair, 0.0) for pair in pairs])
            scale = self.noise.across
            parts.append(Arm("set", q, self._effect(mean, scale)))
            parts += [
                Arm("push_matched", q, self._effect(0.0, scale), draw=j)
                for j in range(self.shape.cross_draws)
            ]
        return self._table(parts)

    def transfer(self) -> pd.DataFrame:
        """Return the arms of foreign languages' sets."""
        parts = []
        mean = (self.truth.transfer * self.wobble)[self.relation]
        other = self.truth.other
        for s in range(1, self.shape.languages):
            source = (self.language + s) % self.shape.languages
            whole = self._effect(mean)
            arms = [Arm("transfer", self.relation, whole)]
            arms.append(Arm("transfer_own_scaled", self.relation, SCALED * whole, push=SCALED))
            for j in range(self.shape.cross_draws):
                arms.append(Arm("transfer_matched", self.relation, self._effect(), draw=j))
                q = (self.relation + 1 + j) % self.shape.relations
                less = SCALED * self._effect(other)
                arms.append(Arm("transfer_other_set", q, less, push=SCALED))
            parts += [replace(arm, source=source) for arm in arms]
        return self._table(parts)

    def sufficiency(self) -> pd.DataFrame:
        """Return the arms of installed values."""
        parts = []
        for s in range(1, self.shape.relations):
            r = (self.relation + s) % self.shape.relations
            mean = (self.truth.install * self.wobble)[r]
            arms = [Arm("install", r, self._effect(mean, 2.0))]
            for j in range(self.shape.cross_draws):
                arms.append(Arm("install_matched", r, self._effect(0.0, 2.0), draw=j))
            other = self._effect(self.truth.install_other, 2.0)
            parts += [*arms, Arm("install_other", r, other)]
        return self._table(parts)

    def _rivals(self, mean: Float[np.ndarray, " item"]) -> list[Arm]:
        parts = []
        for name in ("average_precision", *RIVALS):
            rival = self.truth.rival
            beyond = rival if isinstance(rival, float | int) else rival.get(name, 0.0)
            effect = self._effect(mean if name == "average_precision" else beyond)
            parts.append(Arm("selector", self.relation, effect, order=name))
            parts += [
                Arm("selector_matched", self.relation, self._effect(), draw=j, order=name)
                for j in range(self.shape.cross_draws)
            ]
        return parts

    def _dose(self, order: str, effect: Float[np.ndarray, " item"], *, draw: int = -1) -> Arm:
        k = K // 2
        return Arm("dose", self.relation, effect, draw=draw, order=order, k=k)

    def _effect(
        self, beyond: float | Float[np.ndarray, " item"] = 0.0, across: float = 1.0
    ) -> Float[np.ndarray, " item"]:
        """Return one set's effect on every item."""
        shape, noise = self.shape, self.noise
        by_fact = self._tail(shape.relations * shape.facts)[self.relation * shape.facts + self.fact]
        drawn = self.rng.normal(size=(shape.relations, shape.languages))
        spread = (
            noise.fact * by_fact
            + noise.item * self._tail(len(self.fact))
            + noise.drawn * drawn[self.relation, self.language]
        )
        return np.asarray(beyond + self.truth.push + self.shared + across * self.scale * spread)

    def _tail(self, size: int) -> Float[np.ndarray, " item"]:
        """Return numbers of mean 0 and variance 1."""
        if not self.noise.skewed:
            return self.rng.normal(size=size)
        return np.asarray((4 - self.rng.gamma(4.0, size=size)) / 2)

    def _table(self, arms: Sequence[Arm]) -> pd.DataFrame:
        """Return one row per item and arm, of items that are measured."""
        shape, n = self.shape, len(arms)
        own = {
            "measured": _labels("r", self.relation, shape.relations, n),
            "language": _labels("l", self.language, shape.languages, n),
            "fact": _labels(
                "f", self.relation * shape.facts + self.fact, shape.relations * shape.facts, n
            ),
        }
        effect = np.concatenate([arm.effect for arm in arms])
        relation = np.concatenate([arm.relation for arm in arms])
        source = np.concatenate([self.language if a.source is None else a.source for a in arms])
        each = {name: [getattr(arm, name) for arm in arms] for name in ("kind", "order")}
        columns = {
            "relation": _labels("r", relation, shape.relations),
            "source": _labels("l", source, shape.languages),
            **own,
            **{name: _repeated(values, len(self.fact)) for name, values in each.items()},
            "draw": np.repeat([arm.draw for arm in arms], len(self.fact)),
            "k": np.repeat([arm.k for arm in arms], len(self.fact)),
            "push": np.repeat([arm.push for arm in arms], len(self.fact)),
            "effect": effect,
            "effect_type": effect,
            "correct_before": np.tile(self.margin > 0, n),
            "correct_after": np.tile(self.margin, n) + effect > 0,
        }
        table = pd.DataFrame({**columns, "context": "none", "seen": False, "template": 3})
        own = self.asked[np.tile(self.relation, n), np.tile(self.language, n)]
        asked: pd.DataFrame = table[own & self.asked[relation, source]]
        return asked.reset_index(drop=True)


def _repeated(values: list[str], n: int) -> pd.Categorical:
    codes, names = pd.factorize(np.array(values, dtype=object))
    kind = pd.CategoricalDtype(names.tolist())
    return pd.Categorical.from_codes(np.repeat(codes, n), dtype=kind)


def _labels(
    prefix: str, numbers: Int[np.ndarray, " item"], n: int, repeats: int = 1
) -> pd.Categorical:
    kind = pd.CategoricalDtype([f"{prefix}{i:03}" for i in range(n)])
    return pd.Categorical.from_codes(np.tile(numbers, repeats), dtype=kind)
