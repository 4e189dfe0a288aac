"""Which relations of a language can be scored, on which blocks of prompts, and why others not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from neuron_atlas.detectors.blocks import Block, Half, Unit, right_prompts, tests_only

HALVES: tuple[Half, Half] = ("identification", "held_out")
ALONE = "the language has no other relation to compare it with"


class LeftOut(NamedTuple):
    """A relation that is not scored: its known facts in the smaller half, and the reason."""

    relation: str
    n_facts: int
    reason: str


@dataclass(frozen=True)
class Eligible:
    """What can be scored in one language.

    Attributes:
        relations: The relations, with the blocks that have enough right prompts.
        n_facts: By relation, the facts of each half that were answered right in any template.
        left_out: The other relations.
    """

    relations: tuple[Unit, ...]
    n_facts: dict[str, tuple[int, int]]
    left_out: tuple[LeftOut, ...]

    @property
    def blocks(self) -> tuple[frozenset[Block], frozenset[Block]]:
        """The blocks that are scored in each half, those of templates that only test left out."""
        first = frozenset(b for unit in self.relations for b in unit.blocks)
        return first, frozenset(b for unit in self.relations for b in unit.held_out)

    @property
    def testing(self) -> dict[str, Block]:
        """By relation, its block of a template that selects nothing."""
        return {u.name: u.testing for u in self.relations if u.testing is not None}


def find(index: pd.DataFrame, *, min_facts: int, min_positives: int) -> Eligible:
    """Find the relations that can be scored.

    Args:
        index: Of one language's activations.
        min_facts: Facts that a relation needs in each half; one counts if any of its paraphrases
            was answered right.
        min_positives: Right prompts that a relation and template need in a half to be scored
            there. Of a relation's selecting templates, two need as many on the identification
            half (one, where it has no more), and one on the held-out half.
    """
    halves = {half: right_prompts(index, half) for half in HALVES}
    n_facts = _facts(halves)
    selecting = index[~tests_only(index)].groupby("relation")["template"].nunique()
    units, left_out = [], []
    for relation in sorted(n_facts):
        least = min(n_facts[relation])
        unit = _unit(relation, halves, min_positives)
        needed = min(2, int(selecting[relation]))
        reason = ""
        if least < min_facts:
            reason = f"fewer than {min_facts} facts answered right in a half of the subjects"
        elif len(unit.blocks) < needed or not unit.held_out:
            reason = f"too few templates with {min_positives} right prompts in a half"
        if reason:
            left_out.append(LeftOut(relation, least, reason))
        else:
            units.append(unit)
    if len(units) == 1:
        left_out.append(LeftOut(units[0].name, min(n_facts[units[0].name]), ALONE))
        units = []
    return Eligible(tuple(units), n_facts, tuple(left_out))


def _facts(halves: Mapping[Half, pd.DataFrame]) -> dict[str, tuple[int, int]]:
    first, second = (halves[half].groupby("relation")["fact"].nunique() for half in HALVES)
    return {
        str(r): (int(first.get(r, 0)), int(second.get(r, 0)))
        for r in sorted({*first.index, *second.index})
    }


def _unit(relation: str, halves: Mapping[Half, pd.DataFrame], min_positives: int) -> Unit:
    """Return a relation's blocks that have enough right prompts in a half."""
    blocks = []
    for half in HALVES:
        rows = halves[half][halves[half]["relation"] == relation]
        enough = rows.groupby("template")["tests"].agg(["size", "any"])
        blocks.append(enough[enough["size"] >= min_positives])
    chosen = [[Block(relation, int(t)) for t in b.index[~b["any"].astype(bool)]] for b in blocks]
    tests = [Block(relation, int(t)) for t in blocks[1].index[blocks[1]["any"].astype(bool)]]
    return Unit(relation, tuple(chosen[0]), tuple(chosen[1]), tests[0] if tests else None)
