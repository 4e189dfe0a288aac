"""How many facts and answers of a relation are kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Triple:
    """A subject and the ids of all its correct objects, canonical first."""

    subject: str
    objects: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """How many facts and answers to keep.

    Attributes:
        facts: Most facts a relation; None keeps all.
        candidates: Most ids in a relation's candidate set.
        majority: Largest share, in (0, 1], of a relation's facts with one canonical answer.
    """

    facts: int | None
    candidates: int
    majority: float


def within(triples: Sequence[Triple], limits: Limits) -> list[Triple]:
    """Keep the most triples, first ones first, that no limit forbids."""
    size = len(triples) if limits.facts is None else min(limits.facts, len(triples))
    while size:
        kept = _quota(triples, max(1, int(limits.majority * size)), limits.candidates)
        if len(kept) >= size:
            return kept[:size]
        size = len(kept)  # a smaller size never allows more, so none between them is reached
    return []


def _quota(triples: Sequence[Triple], most: int, n_answers: int) -> list[Triple]:
    """Keep at most `most` triples of one canonical answer and `n_answers` different answers."""
    kept, count = [], Counter[str]()
    for triple in triples:
        answer = triple.objects[0]
        if count[answer] < most and (answer in count or len(count) < n_answers):
            kept.append(triple)
            count[answer] += 1
    return kept


def candidates_of(triples: Sequence[Triple], n: int) -> tuple[str, ...]:
    """Return the canonical answers, then other correct ones, up to `n`."""
    canonical = [t.objects[0] for t in triples]
    others = [o for t in triples for o in t.objects[1:]]
    return tuple(dict.fromkeys([*canonical, *others]))[:n]


def among(objects: Sequence[str], kept: Iterable[str]) -> tuple[str, ...]:
    """Return the objects that are kept, in their order."""
    allowed = set(kept)
    return tuple(o for o in objects if o in allowed)
