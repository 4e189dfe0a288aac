"""Standardised mean differences of neurons between a relation's prompts and all others."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.detectors import average_precision
from neuron_atlas.detectors.blocks import Block, Layout, Unit


@dataclass(frozen=True)
class Gaps:
    """Standardised mean differences of every neuron, which break ties between scores.

    Attributes:
        identification: Of all of a relation's scored prompts against those of the others.
        held_out: The same on the held-out half.
        by_template: For each relation and template, on the identification half.
    """

    identification: Float[Tensor, "relation layer neuron"]
    held_out: Float[Tensor, "relation layer neuron"]
    by_template: tuple[dict[int, Float[Tensor, "layer neuron"]], ...]


def of_layer(
    one: Float[Tensor, "first neuron"],
    two: Float[Tensor, "second neuron"],
    first: Layout,
    second: Layout,
    relations: Sequence[Unit],
) -> list[Float[Tensor, "row neuron"]]:
    """Return a layer's gaps of the relations on both halves, and of each block."""
    blocks = [(u, [b]) for u in relations for b in u.blocks]
    return [
        _gap(one, first, [(u, u.blocks) for u in relations]),
        _gap(two, second, [(u, u.held_out) for u in relations]),
        _gap(one, first, blocks),
    ]


def _gap(
    values: Float[Tensor, "prompt neuron"],
    layout: Layout,
    groups: Sequence[tuple[Unit, Sequence[Block]]],
) -> Float[Tensor, "group neuron"]:
    positive = torch.stack([layout.places(blocks) for _, blocks in groups])
    own = torch.stack(
        [layout.places(b for b in layout.blocks if b.relation == u.name) for u, _ in groups]
    )
    return average_precision.standardised_gap(values, positive, ignore=own & ~positive).float()


def stacked(relations: Sequence[Unit], layers: Sequence[Sequence[Tensor]]) -> Gaps:
    """Put the layers' gaps together; `layers` holds one `of_layer` per layer."""
    identification, held_out, by_block = (
        torch.stack(part, 1) for part in zip(*layers, strict=True)
    )
    rows = iter(by_block)
    by_template = tuple({b.template: next(rows) for b in u.blocks} for u in relations)
    return Gaps(identification, held_out, by_template)
