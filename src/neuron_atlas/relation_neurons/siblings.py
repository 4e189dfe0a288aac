"""Sibling relations: those whose answers are of the same type, such as two that ask for a country.

A neuron that responds to the type of the answer tells a relation from most others, and not from its
siblings. With siblings among the negatives it scores low, without them high.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import pandas as pd

SHARED = 0.1  # of the smaller set of candidates


def find(tables: Iterable[pd.DataFrame]) -> dict[str, frozenset[str]]:
    """Return each relation's siblings; relations without any are left out.

    Two relations are siblings if they share a tenth of the candidate answers of the one that has
    fewer. Candidate lists are cut to a number of their own, so that two relations over all
    countries share far less than half of what is left (13 of 30 and 32 for `country_of_city` and
    `neighbour` at 32 candidates); relations of different answer types share next to nothing.

    Args:
        tables: Fact tables of all languages, with `relation` and `candidates`, the answers' ids.
    """
    candidates: dict[str, set[str]] = {}
    for table in tables:
        for relation, lists in table.drop_duplicates("fact").groupby("relation")["candidates"]:
            candidates.setdefault(str(relation), set()).update(*lists)
    found: dict[str, set[str]] = {}
    for a, b in combinations(sorted(candidates), 2):
        if _share(candidates, a, b) >= SHARED:
            found.setdefault(a, set()).add(b)
            found.setdefault(b, set()).add(a)
    return {relation: frozenset(others) for relation, others in sorted(found.items())}


def _share(candidates: Mapping[str, set[str]], a: str, b: str) -> float:
    fewer = min(len(candidates[a]), len(candidates[b]))
    return len(candidates[a] & candidates[b]) / fewer if fewer else 0.0
