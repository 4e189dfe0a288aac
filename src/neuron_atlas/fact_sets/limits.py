"""Limit how many facts and answers are kept per relation."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.params import Section, ShareOrAll


@dataclass(frozen=True)
class Triple:
    """A subject and the ids of all its correct objects, canonical first."""

    subject: str
    objects: tuple[str, ...]


class Limits(Section):
    """How many facts and answers to keep."""

    max_per_relation: Annotated[int, Field(ge=4)] | None
    """Largest number of facts per relation, of `builtin` the most prominent; `null` keeps all."""
    max_candidates: Annotated[int, Field(ge=2)]
    """Largest number of possible answers per relation."""
    max_majority_share: ShareOrAll
    """Largest share of a relation's facts with the same canonical answer."""


def within_limits(triples: Sequence[Triple], limits: Limits) -> list[Triple]:
    """Return as many triples as the limits allow, earlier ones first."""
    most = limits.max_per_relation
    size = len(triples) if most is None else min(most, len(triples))
    while size:
        same = max(1, int(limits.max_majority_share * size))
        kept = _quota(triples, same, limits.max_candidates)
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
