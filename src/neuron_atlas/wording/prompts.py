"""Which templates a model can be asked with, and where subject and answer stand in them."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neuron_atlas.pipeline.slots import OBJECT, SUBJECT

LEFT_OUT = ("bad_slots", "object_not_last", "repeated")


@dataclass(frozen=True)
class Placed:
    """Templates that can be used, in their order, and how many were left out and why."""

    texts: tuple[str, ...]
    left_out: dict[str, int]


def place(texts: Iterable[str], *, encoder: bool) -> Placed:
    """Keep the templates that fit the model, each once.

    A decoder's answer comes last, after the subject; punctuation behind the object is cut off. An
    encoder is asked with the whole text.

    Args:
        texts: Templates with `{subject}` and `{object}`.
        encoder: Whether the model sees what stands behind the answer.

    Returns:
        Texts with both slots; counts by `LEFT_OUT`: a slot is missing or doubled, the object is
        not last, or the text has come before but for marks.
    """
    kept: dict[str, str] = {}
    left_out = dict.fromkeys(LEFT_OUT, 0)
    for text in texts:
        reason, usable = _use(" ".join(text.split()), encoder=encoder)
        bare = "".join(c for c in usable if c.isalnum()).casefold()
        if reason is None and bare in kept:
            reason = "repeated"
        if reason is None:
            kept[bare] = usable
        else:
            left_out[reason] += 1
    return Placed(tuple(kept.values()), left_out)


def _use(text: str, *, encoder: bool) -> tuple[str | None, str]:
    """Return why a text cannot be used, or None, and the part of it that is."""
    if text.count(SUBJECT) != 1 or text.count(OBJECT) != 1:
        return "bad_slots", text
    before, after = text.split(OBJECT)
    if encoder:
        return None, text
    if SUBJECT in after or not all(map(_is_closing, after)):
        return "object_not_last", text
    return None, before + OBJECT


def _is_closing(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "PS"


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
