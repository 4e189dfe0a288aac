"""How many facts and answers of a relation are kept."""

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
    """Facts of a relation, of `builtin` the most prominent subjects first; `null` keeps all."""
    max_candidates: Annotated[int, Field(ge=2)]
    """Possible answers of a relation."""
    max_majority_share: ShareOrAll
    """Largest share of a relation's facts with the same canonical answer."""


def within(triples: Sequence[Triple], limits: Limits) -> list[Triple]:
    """Keep the most triples, first ones first, that no limit forbids."""
    most = limits.max_per_relation
    size = len(triples) if most is None else min(most, len(triples))
    while size:
        same = max(1, int(limits.max_majority_share * size))
        kept = _quota(triples, same, limits.max_candidates)
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
