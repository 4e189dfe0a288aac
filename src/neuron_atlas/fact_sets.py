"""From aligned triples to the facts of each language: limits, answers, splits and counts."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pandas as pd

from neuron_atlas.alignment import Aligned
from neuron_atlas.facts import Fact
from neuron_atlas.limits import Limits, Triple, among, candidates_of, within
from neuron_atlas.splits import SPLITS, Split, split_subjects

Pair = tuple[str, str]  # of a relation and a subject


@dataclass(frozen=True)
class Plan:
    """How many facts are kept, and how their subjects are dealt.

    Attributes:
        limits: Of facts and answers of a relation.
        min_facts: A relation with fewer is left out.
        development_share: Of the subjects; the rest is halved.
        seed: Of the order in which facts are kept, and of the splits.
    """

    limits: Limits
    min_facts: int
    development_share: float
    seed: int


@dataclass(frozen=True)
class Kept:
    """The facts of one relation that are kept, and its possible answers, in all languages."""

    triples: tuple[Triple, ...]
    candidates: tuple[str, ...]
    n_over_limit: int


@dataclass(frozen=True)
class FactSets:
    """Facts by language, and by language and relation what was counted."""

    facts: Mapping[str, list[Fact]]
    counts: Mapping[str, Mapping[str, Any]]


def build(aligned: Aligned, plan: Plan) -> FactSets:
    """Keep the facts that the limits allow, the same in every language that has them.

    A fact is a relation and a subject with all its objects. Objects that any language holds to be
    true count as right wherever they are among the candidates, so that none is taken for wrong.

    Raises:
        ValueError: no relation has enough facts.
    """
    kept = choose(aligned.tables, plan)
    subjects = {name: [t.subject for t in one.triples] for name, one in kept.items()}
    splits = split_subjects(
        subjects, domain="subject", development_share=plan.development_share, seed=plan.seed
    )
    truths = _truths(aligned.truths, subjects)
    found = {
        code: [
            f for r, one in kept.items() for f in _facts(r, one, _labels(table, r), truths, splits)
        ]
        for code, table in aligned.tables.items()
    }
    counts = {code: _counts(rows, kept, aligned, code) for code, rows in found.items()}
    return FactSets(found, counts)


def choose(tables: Mapping[str, pd.DataFrame], plan: Plan) -> dict[str, Kept]:
    """Return the facts to keep by relation, drawn in an order that hashes of their names give.

    Raises:
        ValueError: no relation has `plan.min_facts` facts.
    """
    columns = ["relation", "subject", "object"]
    every = pd.concat([t[columns] for t in tables.values()], ignore_index=True).drop_duplicates()
    kept = {}
    sizes = {}
    for relation, rows in every.groupby("relation", sort=True):
        triples = _triples(str(relation), rows, plan.seed)
        chosen = within(triples, plan.limits)
        sizes[str(relation)] = len(chosen)
        if len(chosen) >= plan.min_facts:
            names = candidates_of(chosen, plan.limits.candidates)
            kept[str(relation)] = Kept(tuple(chosen), names, len(triples) - len(chosen))
    if not kept:
        raise ValueError(
            f"no relation has facts.min_per_relation {plan.min_facts} facts that enough languages "
            f"share: {sizes or 'none has any'}; lower it or facts.min_languages, or see what "
            "facts.allow could let pass"
        )
    return kept


def _triples(relation: str, rows: pd.DataFrame, seed: int) -> list[Triple]:
    objects = defaultdict[str, list[str]](list)
    for subject, thing in zip(rows["subject"].tolist(), rows["object"].tolist(), strict=True):
        objects[subject].append(thing)
    order = sorted(objects, key=lambda s: (_hash(seed, relation, s), s))
    return [Triple(s, tuple(objects[s])) for s in order]


def _hash(seed: int, relation: str, subject: str) -> bytes:
    return blake2b(f"{seed}:{relation}:{subject}".encode(), digest_size=8).digest()


def _truths(every: pd.DataFrame, subjects: Mapping[str, Sequence[str]]) -> dict[Pair, set[str]]:
    """Return all true objects of the kept facts."""
    wanted = {(r, s) for r, names in subjects.items() for s in names}
    found = defaultdict[Pair, set[str]](set)
    columns = (every[name].tolist() for name in ("relation", "subject", "object"))
    for relation, subject, thing in zip(*columns, strict=True):
        if (relation, subject) in wanted:
            found[relation, subject].add(thing)
    return found


@dataclass(frozen=True)
class _Labels:
    """One relation in one language: what its subjects and objects are called, and its triples."""

    subjects: Mapping[str, str]
    objects: Mapping[str, str]
    triples: Mapping[str, set[str]]


def _labels(table: pd.DataFrame, relation: str) -> _Labels:
    rows = table[table["relation"] == relation]
    named = []
    for thing in ("subject", "object"):
        first = rows.drop_duplicates(thing)
        named.append(dict(zip(first[thing], first[f"{thing}_label"].str.strip(), strict=True)))
    triples = defaultdict[str, set[str]](set)
    for subject, thing in zip(rows["subject"].tolist(), rows["object"].tolist(), strict=True):
        triples[subject].add(thing)
    return _Labels(named[0], named[1], triples)


def _facts(
    relation: str,
    kept: Kept,
    labels: _Labels,
    truths: Mapping[Pair, set[str]],
    splits: Mapping[str, Split],
) -> list[Fact]:
    """Return the kept facts that one language has."""
    candidates = among(kept.candidates, labels.objects)
    names = tuple(labels.objects[c] for c in candidates)
    found = []
    for triple in kept.triples:
        own = labels.triples.get(triple.subject, set())
        canonical = [o for o in triple.objects if o in own and o in labels.objects]
        others = sorted(truths[relation, triple.subject] - set(canonical))
        objects = among([*canonical, *others], candidates)
        if not objects or objects[0] not in own:
            continue
        found.append(
            Fact(
                relation=relation,
                subject=triple.subject,
                subject_label=labels.subjects[triple.subject],
                objects=objects,
                object_labels=tuple(labels.objects[o] for o in objects),
                candidates=candidates,
                candidate_labels=names,
                split=splits[triple.subject],
            )
        )
    return found


def _counts(
    rows: Sequence[Fact], kept: Mapping[str, Kept], aligned: Aligned, code: str
) -> dict[str, Any]:
    by_relation = defaultdict[str, list[Fact]](list)
    for fact in rows:
        by_relation[fact.relation].append(fact)
    return {
        name: {
            **read,
            "n_aligned": aligned.n_aligned.get(name, 0),
            "n_over_limit": kept[name].n_over_limit if name in kept else 0,
            "too_few": name not in kept,
            **described(by_relation[name]),
        }
        for name, read in aligned.counts[code].items()
    }


def described(facts: Sequence[Fact]) -> dict[str, Any]:
    """Count the facts of one relation and language; shares are fractions of facts, in [0, 1]."""
    tested = Counter(f.objects[0] for f in facts if f.split != "development")
    every = Counter(f.objects[0] for f in facts)
    return {
        "n_facts": len(facts),
        "n_candidates": len(facts[0].candidates) if facts else 0,
        "n_split": {split: sum(f.split == split for f in facts) for split in SPLITS},
        "majority_share": max(every.values(), default=0) / max(1, len(facts)),
        "majority_baseline": max(tested.values(), default=0) / max(1, tested.total()),
    }
