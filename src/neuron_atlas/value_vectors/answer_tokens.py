"""The tokens with which a relation's answers begin, and those with which other relations' do."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens

Beginnings = Mapping[str, frozenset[int]]  # by relation


class Sides(NamedTuple):
    """Tokens that begin a relation's answers alone, and tokens that begin others' alone; rising."""

    own: tuple[int, ...]
    others: tuple[int, ...]


def beginnings(lm: LanguageModel, recalled: pd.DataFrame) -> Beginnings:
    """Return the first tokens of each relation's candidate answers, in one language.

    A token that continues the prompt in any of the relation's templates counts, whichever fact is
    asked.
    """
    tokens = CandidateTokens(lm)
    return {
        str(relation): frozenset(_first_tokens(tokens, rows))
        for relation, rows in recalled.groupby("relation", sort=True)
    }


def _first_tokens(tokens: CandidateTokens, rows: pd.DataFrame) -> Iterator[int]:
    facts = rows.drop_duplicates("fact")
    labels = sorted({str(label) for listed in facts["candidate_labels"] for label in listed})
    for row in store.records(rows.drop_duplicates("template")[["prompt", "separator"]]):
        for answer in tokens.answers(row["prompt"], row["separator"], labels):
            yield answer[0]


def sides(found: Beginnings, siblings: Mapping[str, frozenset[str]]) -> dict[str, Sides]:
    """Return each relation's tokens and those of the others that are compared with them.

    A token that begins answers of two relations says nothing of either and is on no side. Siblings,
    whose answers are of the same type, are neither: their tokens are not compared.

    Returns:
        By relation; one without tokens on either side is missing.
    """
    compared = {}
    for relation, tokens in found.items():
        near = {relation, *siblings.get(relation, ())}
        alike = frozenset().union(*(found[name] for name in near if name in found))
        others = frozenset().union(*(own for name, own in found.items() if name not in near))
        both = Sides(tuple(sorted(tokens - others)), tuple(sorted(others - alike)))
        if both.own and both.others:
            compared[relation] = both
    return compared
