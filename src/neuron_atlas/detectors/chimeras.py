"""Chimeras: relations put together from blocks of different relations, the null of a relation.

All prompts of a block share their wording, so a neuron may tell one block from the rest without
responding to a relation. A chimera has template 0 of one relation, template 1 of another, and so
on: as many blocks, as many prompts, the same wordings, and nothing in common but being prompts.
"""

from collections.abc import Collection, Mapping

import numpy as np

from neuron_atlas.detectors.blocks import Block, Unit
from neuron_atlas.detectors.eligible import Eligible


def deal(
    first: Collection[Block],
    second: Collection[Block],
    testing: Mapping[str, Block],
    *,
    n: int,
    rng: np.random.Generator,
) -> tuple[Unit, ...]:
    """Deal blocks to `n` different chimeras, or as many as there are.

    Each deal puts the relations in a circle in random order and lets the templates start at
    different places: every block is dealt once, and no chimera has two blocks of one relation.

    Args:
        first: Blocks that are scored on the identification half.
        second: Blocks that are scored on the held-out half.
        testing: By relation, its block of a template that selects nothing.
        n: Chimeras.
        rng: Source of the deals.

    Returns:
        Chimeras of two blocks or more, at least one of them scored on the held-out half. None
        where relations have one template each, or where there are fewer relations than templates.
    """
    relations, templates = sorted({b.relation for b in first}), sorted({b.template for b in first})
    if len(templates) < 2 or len(relations) < len(templates):
        return ()
    found: dict[tuple[Block, ...], Unit] = {}
    for _ in range(n):  # as a rule one deal in len(relations) of these is enough
        order = rng.permutation(relations)
        shifts = rng.permutation(len(relations))[: len(templates) + 1].tolist()
        for i in range(len(relations)):
            dealt = [str(order[(i + shift) % len(relations)]) for shift in shifts]
            blocks = (Block(r, t) for r, t in zip(dealt, templates, strict=False))
            test = testing.get(dealt[-1]) if len(dealt) > len(templates) else None
            unit = _unit(tuple(b for b in blocks if b in first), second, test)
            if len(unit.blocks) > 1 and unit.held_out:
                found.setdefault(unit.blocks, unit)
        if len(found) >= n:
            break
    return tuple(found.values())[:n]


def _unit(blocks: tuple[Block, ...], second: Collection[Block], testing: Block | None) -> Unit:
    name = " + ".join(f"{b.relation}/{b.template}" for b in blocks)
    return Unit(name, blocks, tuple(b for b in blocks if b in second), testing)


def usable(units: Collection[Unit], found: Eligible) -> tuple[Unit, ...]:
    """Return the chimeras that a language can score, on those of their blocks that it has.

    All blocks must be scored on its identification half, and one on the held-out half.
    """
    first, second = found.blocks
    kept = []
    for unit in units:
        held_out = tuple(b for b in unit.blocks if b in second)
        testing = unit.testing if unit.testing in found.testing.values() else None
        if set(unit.blocks) <= first and held_out:
            kept.append(Unit(unit.name, unit.blocks, held_out, testing))
    return tuple(kept)
