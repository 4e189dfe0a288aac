"""Choose the templates that a model can be asked with, and count the others."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neuron_atlas.facts.labels import cleaned
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.wording.blanks import literal_blank

LEFT_OUT = ("blank", "bad_slots", "object_not_last", "repeated")


@dataclass(frozen=True)
class Usable:
    """Templates that can be used, in their order, and how many were left out, by reason."""

    texts: tuple[str, ...]
    left_out: dict[str, int]


def keep_usable(texts: Iterable[str], *, encoder: bool) -> Usable:
    """Keep the templates that fit the model, each once.

    A decoder's answer has to come last, after the subject; punctuation after the object is cut
    off. An encoder is asked with the whole text.

    Args:
        texts: Templates with `{subject}` and `{object}`.
        encoder: Whether the model sees the text after the answer.

    Returns:
        The usable texts, each with both placeholders; and counts by `LEFT_OUT`: a literal blank
        such as `[MASK]` stands for the answer, a placeholder is missing or doubled, the object is
        not last, or the text repeats an earlier one but for punctuation.
    """
    kept: dict[str, str] = {}
    left_out = dict.fromkeys(LEFT_OUT, 0)
    for text in texts:
        reason, usable = _use(cleaned(text), encoder=encoder)
        bare = "".join(c for c in usable if c.isalnum()).casefold()
        if reason is None and bare in kept:
            reason = "repeated"
        if reason is None:
            kept[bare] = usable
        else:
            left_out[reason] += 1
    return Usable(tuple(kept.values()), left_out)


def _use(text: str, *, encoder: bool) -> tuple[str | None, str]:
    """Return why a text cannot be used, or None, and the part of it that is used."""
    if literal_blank(text):
        return "blank", text
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
    """Templates by relation, in order of preference, and counts of what was used and left out.

    Attributes:
        texts: Usable templates; a relation without any is missing.
        counts: By relation: `n_given`, `n_used`, `left_out` by reason, and `stands_in`, whether
            one of our own templates is used instead.
    """

    texts: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, Mapping[str, Any]]


def choose_templates(
    given: Mapping[str, tuple[str, ...]],
    stand_ins: Mapping[str, str],
    *,
    encoder: bool,
    most: int,
) -> Prompts:
    """Keep the first `most` templates of each relation that the model can be asked with.

    Args:
        given: Templates by relation, as the source has them.
        stand_ins: One template per relation, used if none of the given ones is usable; may be
            empty.
        encoder: Whether the model sees the text after the answer.
        most: Most templates per relation, at least 1.
    """
    texts, counts = {}, {}
    for relation, listed in given.items():
        usable = keep_usable(listed, encoder=encoder)
        stands_in = not usable.texts and relation in stand_ins
        used = (stand_ins[relation],) if stands_in else usable.texts[:most]
        if used:
            texts[relation] = used
        counts[relation] = {
            "n_given": len(listed),
            "n_used": len(used),
            "left_out": {**usable.left_out, "beyond_paraphrases": len(usable.texts[most:])},
            "stands_in": stands_in,
        }
    return Prompts(texts, counts)
