"""Which templates a model can be asked with: a decoder needs the object last."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from neuron_atlas.slots import OBJECT, SUBJECT

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
