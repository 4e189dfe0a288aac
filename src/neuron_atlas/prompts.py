"""Each relation's prompts in one language: those that fit the model, or one that stands in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuron_atlas.placement import place


@dataclass(frozen=True)
class Prompts:
    """Templates by relation, best first, and what was counted on the way.

    Attributes:
        texts: Relations without a usable template are missing.
        counts: By relation: `n_given`, `n_used`, `left_out` by reason, and whether one of ours
            stands in.
    """

    texts: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, Mapping[str, Any]]


def choose(
    given: Mapping[str, tuple[str, ...]],
    stand_ins: Mapping[str, str],
    *,
    encoder: bool,
    most: int,
) -> Prompts:
    """Keep the first `most` templates of each relation that the model can be asked with.

    Args:
        given: Templates by relation, as the source has them.
        stand_ins: One template a relation for those of which none can be used; {} for none.
        encoder: Whether the model sees what stands behind the answer.
        most: Templates a relation, at least 1.
    """
    texts, counts = {}, {}
    for relation, listed in given.items():
        placed = place(listed, encoder=encoder)
        stands_in = not placed.texts and relation in stand_ins
        usable = (stand_ins[relation],) if stands_in else placed.texts[:most]
        if usable:
            texts[relation] = usable
        counts[relation] = {
            "n_given": len(listed),
            "n_used": len(usable),
            "left_out": {**placed.left_out, "beyond_paraphrases": len(placed.texts[most:])},
            "stands_in": stands_in,
        }
    return Prompts(texts, counts)
