"""Turn aligned triples into the facts of each language: limits, answers, splits and counts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pandas as pd

from neuron_atlas.fact_sets.alignment import Aligned
from neuron_atlas.fact_sets.called import Labels, labels_of
from neuron_atlas.fact_sets.limits import Triple, candidates_of, restrict, within_limits
from neuron_atlas.fact_sets.settings import FactPlan
from neuron_atlas.facts.answer_sides import Deal, deal
from neuron_atlas.facts.fact_table import Fact
from neuron_atlas.facts.labels import caseless
from neuron_atlas.facts.split_counts import count_splits

FactKey = tuple[str, str]  # relation, subject


@dataclass(frozen=True)
class KeptRelation:
    """The facts of one relation that are kept, and its possible answers, in all languages.

    Attributes:
        triples: In the order in which they are drawn.
        candidates: Ids of the possible answers.
        n_over_limit: Facts that the limits leave out.
    """

    triples: tuple[Triple, ...]
    candidates: tuple[str, ...]
    n_over_limit: int


@dataclass(frozen=True)
class FactSets:
    """Facts by language, and counts by language and relation."""

    facts: Mapping[str, list[Fact]]
    counts: Mapping[str, Mapping[str, Any]]


def build(aligned: Aligned, plan: FactPlan, *, shots: int, seed: int) -> FactSets:
    """Keep the facts that the limits allow, the same in every language that has them.

    A fact is a relation and a subject with all its objects. An object counts as right if any
    language states it of the subject, or of another subject with the same label in the language
    asked. So does every candidate that has the label of such an object: no true answer is taken
    for a wrong one.

    Args:
        aligned: The triples that enough languages have.
        plan: How many are kept.
        shots: Development facts that a relation needs in a language, for demonstrations.
        seed: The seed.

    Raises:
        ValueError: no relation has enough facts.
    """
    kept = facts_to_keep(aligned.tables, plan, seed=seed)
    used = {name: one for name, one in kept.items() if len(one.triples) >= plan.min_per_relation}
    subjects = {name: [t.subject for t in one.triples] for name, one in used.items()}
    truths = _truths(aligned.read.values(), subjects)
    dealt = deal(
        {name: _answers_of(name, one, truths) for name, one in used.items()},
        domain="subject",
        development_share=plan.development_share,
        seed=seed,
    )
    facts, counts = {}, {}
    for code, table in aligned.tables.items():
        found, unanswered = {}, {}
        for name, one in used.items():
            labels = labels_of(table, aligned.read[code], name)
            found[name] = _facts(name, one, labels, truths, dealt)
            here = sum(t.subject in labels.triples for t in one.triples)
            unanswered[name] = here - len(found[name])
        large = {name: rows for name, rows in found.items() if _is_enough(rows, plan, shots=shots)}
        facts[code] = [fact for rows in large.values() for fact in rows]
        counts[code] = {
            name: {**read, "n_aligned": aligned.n_aligned.get(name, 0)}
            | _counts(kept.get(name), found.get(name), large.get(name, []))
            | {"n_without_candidate": unanswered.get(name, 0)}
            for name, read in aligned.counts[code].items()
        }
    return FactSets(facts, counts)


def facts_to_keep(
    tables: Mapping[str, pd.DataFrame], plan: FactPlan, *, seed: int
) -> dict[str, KeptRelation]:
    """Return the facts to keep by relation, drawn in the order of a hash of relation and subject.

    Raises:
        ValueError: no relation has `plan.min_per_relation` facts.
    """
    columns = ["relation", "subject", "object"]
    every = pd.concat([t[columns] for t in tables.values()], ignore_index=True).drop_duplicates()
    kept = {}
    for relation, rows in every.groupby("relation", sort=True):
        triples = _triples(str(relation), rows, seed)
        chosen = within_limits(triples, plan)
        names = candidates_of(chosen, plan.max_candidates)
        kept[str(relation)] = KeptRelation(tuple(chosen), names, len(triples) - len(chosen))
    if all(len(one.triples) < plan.min_per_relation for one in kept.values()):
        sizes = {
            name: f"{len(k.triples)} of {len(k.triples) + k.n_over_limit}"
            for name, k in kept.items()
        }
        raise ValueError(
            f"no relation has facts.min_per_relation {plan.min_per_relation} facts left: "
            f"{sizes or 'none has any'}; lower it or facts.min_languages, or raise "
            "facts.max_majority_share, facts.max_candidates or facts.max_per_relation"
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


def _truths(
    read: Iterable[pd.DataFrame], subjects: Mapping[str, Sequence[str]]
) -> dict[FactKey, set[str]]:
    """Return the objects that any language states of the kept facts' subjects."""
    wanted = {(r, s) for r, names in subjects.items() for s in names}
    found = defaultdict[FactKey, set[str]](set)
    for table in read:
        columns = (table[name].tolist() for name in ("relation", "subject", "object"))
        for relation, subject, thing in zip(*columns, strict=True):
            if (relation, subject) in wanted:
                found[relation, subject].add(thing)
    return found


def _answers_of(
    relation: str, kept: KeptRelation, truths: Mapping[FactKey, set[str]]
) -> dict[str, list[str]]:
    """Return each subject's right candidates in any language, but for those that share a name."""
    return {
        t.subject: [
            c for c in kept.candidates if c in t.objects or c in truths[relation, t.subject]
        ]
        for t in kept.triples
    }


def _facts(
    relation: str,
    kept: KeptRelation,
    labels: Labels,
    truths: Mapping[FactKey, set[str]],
    dealt: Deal,
) -> list[Fact]:
    """Return the kept facts that one language has and can answer with a candidate."""
    candidates = restrict(kept.candidates, labels.objects)
    names = tuple(labels.objects[c] for c in candidates)
    low = dict(zip(candidates, map(caseless, names), strict=True))
    found = []
    for triple in kept.triples:
        objects = _right_answers(triple, truths[relation, triple.subject], labels, low)
        if objects:
            found.append(
                Fact(
                    relation=relation,
                    subject=triple.subject,
                    subject_label=labels.subjects[triple.subject],
                    objects=objects,
                    object_labels=tuple(labels.objects[o] for o in objects),
                    candidates=candidates,
                    candidate_labels=names,
                    split=dealt.splits[triple.subject],
                    answer_split=dealt.answer_split(relation, objects),
                )
            )
    return found


def _right_answers(
    triple: Triple, true: set[str], labels: Labels, candidates: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the candidates that count as right, canonical first; none for a fact without its own.

    Args:
        triple: The fact.
        true: Objects that any language states of its subject.
        labels: The language's labels of the relation.
        candidates: Id to caseless label of each candidate that the language has.
    """
    own = labels.triples.get(triple.subject, set())
    canonical = [o for o in triple.objects if o in own and o in candidates]
    if not canonical:
        return ()
    true = true | labels.same_name[caseless(labels.subjects[triple.subject])]
    said = {text for thing in true for text in labels.called.get(thing, ()) if text}
    others = [c for c, name in candidates.items() if c in true or name in said]
    return tuple(dict.fromkeys([*canonical, *others]))


def _is_enough(rows: Sequence[Fact], plan: FactPlan, *, shots: int) -> bool:
    shown = sum(fact.split == "development" for fact in rows)
    return len(rows) >= plan.min_per_relation and shown >= shots


def _counts(
    kept: KeptRelation | None, found: Sequence[Fact] | None, rows: Sequence[Fact]
) -> dict[str, Any]:
    """Count a relation's facts: `found` in one language, None if all languages have too few."""
    chosen = 0 if kept is None else len(kept.triples)
    return {
        "n_over_limit": 0 if kept is None else kept.n_over_limit,
        "n_too_few": (chosen if found is None else len(found)) - len(rows),
        **count_facts(rows),
    }


def count_facts(facts: Sequence[Fact]) -> dict[str, Any]:
    """Count the facts of one relation in one language; shares are fractions of facts, in [0, 1].

    `majority_share` is the share of the most frequent canonical answer, `majority_baseline` the
    same among the facts outside the development split.
    """
    tested = Counter(f.objects[0] for f in facts if f.split != "development")
    every = Counter(f.objects[0] for f in facts)
    return {
        "n_facts": len(facts),
        "n_candidates": len(facts[0].candidates) if facts else 0,
        **count_splits(facts),
        "majority_share": max(every.values(), default=0) / max(1, len(facts)),
        "majority_baseline": max(tested.values(), default=0) / max(1, tested.total()),
    }
