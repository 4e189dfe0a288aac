"""Limit how many facts and answers of a relation are kept."""

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


def within_limits(triples: Sequence[Triple], limits: Limits) -> list[Triple]:
    """Return as many triples as the limits allow, earlier ones first."""
    size = len(triples) if limits.facts is None else min(limits.facts, len(triples))
    while size:
        kept = _quota(triples, max(1, int(limits.majority * size)), limits.candidates)
        if len(kept) >= size:
            return kept[:size]
        size = len(kept)  # a smaller size never allows more, so sizes in between fail too
    return []


def _quota(triples: Sequence[Triple], most: int, n_answers: int) -> list[Triple]:
    """Keep at most `most` triples per canonical answer, and at most `n_answers` answers."""
    kept, count = [], Counter[str]()
    for triple in triples:
        answer = triple.objects[0]
        if count[answer] < most and (answer in count or len(count) < n_answers):
            kept.append(triple)
            count[answer] += 1
    return kept


def candidates_of(triples: Sequence[Triple], n: int) -> tuple[str, ...]:
    """Return up to `n` answers: the canonical ones first, then other correct ones."""
    canonical = [t.objects[0] for t in triples]
    others = [o for t in triples for o in t.objects[1:]]
    return tuple(dict.fromkeys([*canonical, *others]))[:n]


def restrict(objects: Sequence[str], kept: Iterable[str]) -> tuple[str, ...]:
    """Return those of `objects` that are in `kept`, in their order."""
    allowed = set(kept)
    return tuple(o for o in objects if o in allowed)
