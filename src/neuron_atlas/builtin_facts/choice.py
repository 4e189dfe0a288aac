"""Choose which built-in facts are kept: the same ones in every language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from neuron_atlas.builtin_facts import cldr
from neuron_atlas.builtin_facts.world import Relation
from neuron_atlas.fact_sets.limits import Limits, Triple, candidates_of, restrict, within_limits

# A fact needs a label in each of these, whatever languages are asked for, so that adding a language
# never changes another language's facts.
REFERENCE = ("en", "fr", "de", "es", "ru", "zh", "it", "pt", "ja", "tr")
CYCLES = {"weekday", "month", "number"}


@dataclass(frozen=True)
class KeptFacts:
    """The facts that are kept of one relation.

    Attributes:
        triples: Most prominent first.
        candidates: Ids of the possible answers.
        dropped: Number of the other facts by reason; see `keep_facts`.
    """

    triples: tuple[Triple, ...]
    candidates: tuple[str, ...]
    dropped: Mapping[str, int]


def keep_facts(relation: Relation, limits: Limits) -> KeptFacts:
    """Keep the most prominent facts that every reference language can ask and answer.

    A fact is dropped if its subject or canonical answer has no label in some reference language
    (`no_label`), if a more prominent subject or answer of the relation has the same label
    (`ambiguous`), if the subject gives the answer away in some language (`copy`), or if it is
    beyond the limits (`limit`).
    """
    every = [Triple(s, o) for s, o in relation.truths().items() if o]
    labelled = [t for t in (_labelled(relation, t) for t in every) if t is not None]
    distinct = _distinct(relation, labelled)
    telling = [t for t in distinct if not _is_copy(relation, t)]
    kept = within_limits(telling, limits)
    candidates = candidates_of(kept, limits.max_candidates)
    sizes = [len(x) for x in (every, labelled, distinct, telling, kept)]
    reasons = ("no_label", "ambiguous", "copy", "limit")
    dropped = {r: a - b for r, a, b in zip(reasons, sizes, sizes[1:], strict=False)}
    triples = (replace(t, objects=restrict(t.objects, candidates)) for t in kept)
    return KeptFacts(tuple(triples), candidates, dropped)


@cache
def _names(language: str, decorated: bool) -> cldr.Names:
    return cldr.names(language, decorated=decorated)


def label(language: str, domain: str, thing: str, *, decorated: bool = False) -> str | None:
    """Return a thing's label in a language, or None.

    Args:
        language: A CLDR locale.
        domain: The kind of thing, such as `country`; a `code` is its own label.
        thing: Its id.
        decorated: Whether names with a parenthesis, a comma or a dash count.
    """
    return thing if domain == "code" else _names(language, decorated)[domain].get(thing)


@cache
def _labels(domain: str, thing: str) -> tuple[str, ...] | None:
    """Return a thing's labels in the reference languages, or None if one is missing."""
    found = [label(language, domain, thing) for language in REFERENCE]
    return tuple(text for text in found if text) if all(found) else None


def _labelled(relation: Relation, triple: Triple) -> Triple | None:
    objects = tuple(o for o in triple.objects if _labels(relation.object, o))
    if not _labels(relation.subject, triple.subject) or objects[:1] != triple.objects[:1]:
        return None
    return replace(triple, objects=objects)


def _distinct(relation: Relation, triples: Sequence[Triple]) -> list[Triple]:
    """Keep the triples whose labels are unambiguous; of things with one label, the first stays."""
    subjects = _unambiguous(relation.subject, [t.subject for t in triples])
    canonical = [t.objects[0] for t in triples]
    objects = _unambiguous(relation.object, [*canonical, *(o for t in triples for o in t.objects)])
    kept = [
        replace(t, objects=restrict(t.objects, objects)) for t in triples if t.subject in subjects
    ]
    named = {t.subject: t.objects[0] for t in triples}
    return [t for t in kept if t.objects[:1] == (named[t.subject],)]


def _unambiguous(domain: str, things: Iterable[str]) -> set[str]:
    """Return the ids that share no label, in any reference language, with an earlier id."""
    kept, taken = set[str](), set[tuple[int, str]]()
    for thing in dict.fromkeys(things):
        names = {(n, text.casefold()) for n, text in enumerate(_labels(domain, thing) or ())}
        if not names & taken:
            kept.add(thing)
            taken |= names
    return kept


def _is_copy(relation: Relation, triple: Triple) -> bool:
    """Say whether in some reference language one label gives the other away.

    A name does if it contains the other one, a code if the subject's name starts with it. Names
    of days, months and numbers are let pass: that one contains another does not tell which.
    """
    subjects = _labels(relation.subject, triple.subject) or ()
    objects = _labels(relation.object, triple.objects[0]) or ()
    pairs = [(s.casefold(), o.casefold()) for s, o in zip(subjects, objects, strict=True)]
    if relation.object in CYCLES:
        return False
    if relation.object == "code":
        return any(s.startswith(o) for s, o in pairs)
    return any(s in o or o in s for s, o in pairs)
