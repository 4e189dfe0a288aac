"""Blocks of prompts, one per relation and template, and what each is compared with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from neuron_atlas.facts import roles

Half = Literal["identification", "held_out"]


class Block(NamedTuple):
    """All prompts of one relation in one template."""

    relation: str
    template: int


def right_prompts(index: pd.DataFrame, half: Half) -> pd.DataFrame:
    """Return a half's prompts that were answered right, with `tests`: the template selects nothing.

    Subject and answer must both be of the half, so that neither occurs in the other one.

    Args:
        index: Of the activations. Without `answer_split` the subject decides alone; without
            `template_role` every template selects.
        half: Which half.
    """
    both = (index["split"] == half) & (index.get("answer_split", index["split"]) == half)
    right = index[index["correct"] & both].assign(tests=tests_only(index))
    return right[~right["tests"]] if half == "identification" else right


def tests_only(index: pd.DataFrame) -> "pd.Series[bool]":
    """Mark prompts of templates that select nothing; a relation's single template does both."""
    if "template_role" not in index:
        return pd.Series(data=False, index=index.index)
    return ~roles.selecting_templates(index)


@dataclass(frozen=True)
class Unit:
    """Blocks that are scored together: those of a relation, or of a chimera.

    Attributes:
        name: The relation, or the chimera's blocks.
        blocks: Scored on the identification half; the least (or mean) over them is the score.
        held_out: The same on the held-out half.
        testing: A held-out block of a template that selects nothing.
        ignored: Relations whose prompts are no negatives: siblings.
    """

    name: str
    blocks: tuple[Block, ...]
    held_out: tuple[Block, ...]
    testing: Block | None = None
    ignored: tuple[str, ...] = ()


class Comparison(NamedTuple):
    """A block, and the blocks whose prompts are neither its positives nor its negatives."""

    positive: Block
    ignored: frozenset[Block]


@dataclass(frozen=True)
class Layout:
    """Which prompts are compared, in one language and one half.

    Attributes:
        rows: Rows of the activation files, block by block.
        blocks: The blocks, each as the range of its places in `rows`.
    """

    rows: Int[np.ndarray, " prompt"]
    blocks: dict[Block, range]

    @property
    def relations(self) -> list[str]:
        """The relation of each prompt."""
        return [block.relation for block, place in self.blocks.items() for _ in place]

    def compare(self, block: Block, unit: Unit) -> Comparison:
        """Return whom a block is compared with as a part of a unit.

        Negatives are the prompts of all other relations. Ignored are the other templates of its own
        relation, and what the unit holds besides. For a relation that is the same. For a chimera it
        makes the two alike: were its other blocks negatives, a neuron that responds to all of a
        chimera could not score high, as one that responds to all of a relation does.
        """
        off = {block.relation, *unit.ignored}
        held = {*unit.blocks, *unit.held_out, unit.testing}
        ignored = {b for b in self.blocks if b.relation in off or b in held}
        return Comparison(block, frozenset(ignored) - {block})

    def places(self, blocks: Iterable[Block]) -> Bool[Tensor, " prompt"]:
        """Mark the prompts of some blocks."""
        found = torch.zeros(len(self.rows), dtype=torch.bool)
        for block in blocks:
            found[list(self.blocks[block])] = True
        return found


def lay_out(index: pd.DataFrame, relations: Iterable[str], half: Half) -> Layout:
    """Lay out a half's right prompts of some relations."""
    used = right_prompts(index, half)
    used = used[used["relation"].isin(list(relations))].sort_values(["relation", "template"])
    of = [Block(str(r), int(t)) for r, t in zip(used["relation"], used["template"], strict=True)]
    ends = {block: i + 1 for i, block in enumerate(of)}
    starts = [0, *ends.values()]
    found = {block: range(start, ends[block]) for block, start in zip(ends, starts, strict=False)}
    return Layout(used.index.to_numpy(np.int64, copy=True), found)
