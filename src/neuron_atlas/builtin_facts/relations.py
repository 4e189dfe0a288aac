"""Which built-in relations are asked."""

from collections.abc import Sequence

from neuron_atlas.builtin_facts.world import RELATIONS, Relation

DEFAULT = (
    "capital",
    "continent",
    "official_language",
    "currency",
    "neighbour",
    "internet_domain",
    "country_of_city",
    "country_of_language",
    "currency_code",
    "script_of_language",
    "unit_symbol",
    "number_after",
)


def check(relations: Sequence[str], *, name: str = "relations") -> tuple[Relation, ...]:
    """Return the named relations.

    Args:
        relations: Their names.
        name: What the message calls them.

    Raises:
        ValueError: a name is unknown, repeated, or there is none.
    """
    unknown = sorted(set(relations) - set(RELATIONS))
    if unknown or not relations or len(set(relations)) < len(relations):
        raise ValueError(
            f"{name} must be different names out of {sorted(RELATIONS)}, got {list(relations)}"
            + (f"; unknown: {unknown}" if unknown else "")
        )
    return tuple(RELATIONS[name] for name in relations)
