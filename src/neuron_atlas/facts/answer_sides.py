"""Deal subjects and answers together, so that the two halves share as few answers as possible."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

import numpy as np

from neuron_atlas.facts.splits import Split, split_subjects

Side = Literal["identification", "held_out"]
SIDES: tuple[Side, ...] = get_args(Side)
AnswerSplit = Literal["identification", "held_out", "mixed"]
ANSWER_SPLITS: tuple[AnswerSplit, ...] = get_args(AnswerSplit)

STEPS_PER_THING = 400  # changes tried per subject and per answer
MOST_STEPS = 200_000
PATIENCE = 3  # facts that a change may cost at first

FactsOf = Mapping[str, Mapping[str, Sequence[str]]]  # relation -> subject id -> object ids


@dataclass(frozen=True)
class Deal:
    """The split of each subject of a domain, and by relation the side of each of its answers."""

    splits: Mapping[str, Split]
    sides: Mapping[str, Mapping[str, Side]]

    def answer_split(self, relation: str, objects: Iterable[str]) -> AnswerSplit:
        """Return the side of all `objects`, or `mixed` where they lie on both."""
        found = {self.sides[relation][thing] for thing in objects}
        return found.pop() if len(found) == 1 else "mixed"


def deal(facts: FactsOf, *, domain: str, development_share: float, seed: int) -> Deal:
    """Split subjects as `split_subjects` does, then choose halves and answers' sides together.

    A fact is kept if all its answers lie on the side of its subject's half. Starting from
    `split_subjects`, with each answer on the side of most of its facts, two subjects of different
    halves change places, or an answer changes its side, where this keeps more facts: first by the
    sum over relations of the smaller half's, then in all. To leave local optima, a change may at
    first cost up to `PATIENCE` facts (threshold accepting, Dueck and Scheuer 1990); the best deal
    met is returned. Development and the sizes of the halves stay as they were.

    Args:
        facts: The ids of all correct answers, by relation and subject.
        domain: What kind of thing the subjects are, such as `country`.
        development_share: Share of the subjects in the development split, in [0, 1).
        seed: Changes the hash that subjects outside development and changes are ordered by.

    Raises:
        ValueError: `development_share` is out of range.
    """
    subjects = {relation: list(rows) for relation, rows in facts.items()}
    splits = split_subjects(subjects, domain=domain, development_share=development_share, seed=seed)
    search = _Search(facts, splits)
    digest = sha256(f"{seed}:{domain}:answers".encode()).digest()
    search.run(np.random.default_rng(int.from_bytes(digest[:8], "big")))
    return search.best()


class _Search:
    """The halves and sides at hand, how many facts they keep, and the best that were met.

    Subjects of the halves, and answers (a relation and an object), have numbers in the order of
    their names, so that the order of the input does not matter.
    """

    def __init__(self, facts: FactsOf, splits: Mapping[str, Split]) -> None:
        self._splits = splits
        self._relations = sorted(facts)
        self._subjects = sorted(s for s, split in splits.items() if split != "development")
        self._half = [int(splits[s] == "held_out") for s in self._subjects]
        names = {(r, o) for r in facts for objects in facts[r].values() for o in objects}
        self._answers = sorted(names)
        number = {name: n for n, name in enumerate(self._answers)}
        place = {s: n for n, s in enumerate(self._subjects)}
        asked = sorted((place[s], r) for r in facts for s in facts[r] if s in place)
        self._facts = [  # subject, relation, answers
            (s, self._relations.index(r), [number[r, o] for o in facts[r][self._subjects[s]]])
            for s, r in asked
        ]
        self._of_subject, self._of_answer = (
            defaultdict[int, list[int]](list),
            defaultdict[int, list[int]](list),
        )
        for n, (subject, _, answers) in enumerate(self._facts):
            self._of_subject[subject].append(n)
            for answer in dict.fromkeys(answers):
                self._of_answer[answer].append(n)
        self._side = [self._majority(n) for n in range(len(self._answers))]
        self._kept = [[0, 0] for _ in self._relations]
        self._count(range(len(self._facts)), 1)
        self._found = self._state()

    def _majority(self, answer: int) -> int:
        halves = [self._half[self._facts[n][0]] for n in self._of_answer[answer]]
        return int(2 * sum(halves) > len(halves))

    def _count(self, facts: Iterable[int], step: int) -> None:
        for n in facts:
            subject, relation, answers = self._facts[n]
            half = self._half[subject]
            if all(self._side[a] == half for a in answers):
                self._kept[relation][half] += step

    def _value(self) -> tuple[int, int]:
        return sum(map(min, self._kept)), sum(map(sum, self._kept))

    def _state(self) -> tuple[tuple[int, int], list[int], list[int]]:
        return self._value(), list(self._half), list(self._side)

    def run(self, rng: np.random.Generator) -> None:
        """Try changes in the order of `rng`; each costs less than the one before may."""
        if self._value()[1] == len(self._facts) or not self._answers:
            return
        steps = min(MOST_STEPS, STEPS_PER_THING * (len(self._subjects) + len(self._answers)))
        draws = rng.integers(2**31, size=(steps, 3)).tolist()
        for step, (kind, one, two) in enumerate(draws):
            allowed = PATIENCE * (steps - step) // steps
            if kind % 2:
                self._flip(one % len(self._answers), allowed)
            else:
                self._swap(one % len(self._subjects), two % len(self._subjects), allowed)

    def _flip(self, answer: int, allowed: int) -> None:
        facts = self._of_answer[answer]
        before = self._value()
        self._turn(answer, facts)
        if not self._accepted(before, allowed):
            self._turn(answer, facts)

    def _turn(self, answer: int, facts: Sequence[int]) -> None:
        self._count(facts, -1)
        self._side[answer] = 1 - self._side[answer]
        self._count(facts, 1)

    def _swap(self, one: int, two: int, allowed: int) -> None:
        if self._half[one] == self._half[two]:
            return
        facts = [*self._of_subject[one], *self._of_subject[two]]
        before = self._value()
        self._exchange(one, two, facts)
        if not self._accepted(before, allowed):
            self._exchange(one, two, facts)

    def _exchange(self, one: int, two: int, facts: Sequence[int]) -> None:
        self._count(facts, -1)
        self._half[one], self._half[two] = self._half[two], self._half[one]
        self._count(facts, 1)

    def _accepted(self, before: tuple[int, int], allowed: int) -> bool:
        """Say whether the change at hand stays; remember it if nothing better was met."""
        value = self._value()
        if 2 * value[0] + value[1] < 2 * before[0] + before[1] - allowed:
            return False
        if value > self._found[0]:
            self._found = self._state()
        return True

    def best(self) -> Deal:
        """Return the best deal that was met."""
        _, halves, sides = self._found
        dealt = dict(zip(self._subjects, (SIDES[h] for h in halves), strict=True))
        found = defaultdict[str, dict[str, Side]](dict)
        for (relation, thing), side in zip(self._answers, sides, strict=True):
            found[relation][thing] = SIDES[side]
        return Deal({**self._splits, **dealt}, dict(found))
