"""Is a greedily written text the answer? Strict match, the paper's prefix match, format failures.

Texts and labels are compared as `labels.cleaned` gives them: composed, without what nobody sees.
Case counts: the symbols mW and MW differ by it alone, and a label is given as it stands inside a
sentence.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from neuron_atlas.facts.labels import cleaned
from neuron_atlas.facts.unspaced import is_unspaced
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text

CLOSING = ".,;:!?…\"'`。，、；：！？．｡।،؛؟۔"  # beside all closing brackets and quotes
PREFIX_TOKENS = 2


class TextMatch(NamedTuple):
    """What a text says.

    Attributes:
        exact: It is a right label, and nothing but closing punctuation and white space follows.
        prefix: Its first two tokens are the beginning of a right label (Liu et al. 2025, section
            3). An empty text is no beginning here: it would pass as one for every label.
        begins_right: The longest candidate's label with which it begins is right, whatever follows.
        format_failure: It begins with no candidate's label: neither right nor wrong of its kind.
    """

    exact: bool
    prefix: bool
    begins_right: bool
    format_failure: bool


def match(
    lm: LanguageModel, tokens: Text, labels: Sequence[str], right: Bool[np.ndarray, " candidate"]
) -> TextMatch:
    """Compare a text with the labels of the typed candidates.

    Args:
        lm: The model that wrote it.
        tokens: What `generation.greedy` returned; only what precedes a line end counts.
        labels: Of the candidates.
        right: Which candidates are right.
    """
    text, begun = line(lm, tokens), line(lm, tokens[:PREFIX_TOKENS])
    composed = [cleaned(label) for label in labels]
    rights = [label for label, ok in zip(composed, right, strict=True) if ok]
    given = given_label(text, composed)
    return TextMatch(
        exact=any(is_label(text, label) for label in rights),
        prefix=bool(begun) and any(label.startswith(begun) for label in rights),
        begins_right=given in rights,
        format_failure=given is None,
    )


def line(lm: LanguageModel, tokens: Text) -> str:
    """Return a text up to its first line end, composed, without surrounding white space."""
    text: str = lm.tokenizer.decode(list(tokens), skip_special_tokens=False)
    return cleaned(text.replace("\r", "\n").partition("\n")[0])


def is_label(text: str, label: str) -> bool:
    """Say whether a text is a label, followed by nothing but closing punctuation and space."""
    return text.startswith(label) and all(map(_closes, text[len(label) :]))


def given_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the longest label with which a text begins, as whole words; None if there is none."""
    begun = [x for x in labels if text.startswith(x) and not _goes_on(x, text[len(x) :])]
    return max(begun, key=len, default=None)


def is_decided(text: str, labels: Sequence[str]) -> bool:
    """Say whether a longer text that begins like this one gives the same match.

    That is, all but `prefix`, which the first two tokens decide.

    Args:
        text: What was written so far, as `line` returns it.
        labels: Of the candidates.
    """
    if not text or "\N{REPLACEMENT CHARACTER}" in text:  # half a character
        return False
    apart = unicodedata.normalize("NFD", text)  # an accent may be the next token
    return not any(
        unicodedata.normalize("NFD", label).startswith(apart) or is_label(text, label)
        for label in map(cleaned, labels)
    )


def _closes(character: str) -> bool:
    closing = unicodedata.category(character) in ("Pe", "Pf")
    return closing or character in CLOSING or character.isspace()


def _goes_on(label: str, rest: str) -> bool:
    """Say whether a label's last word goes on behind it."""
    if not rest or not label or is_unspaced(label[-1]):
        return False
    return _is_in_word(label[-1]) and _is_in_word(rest[0])


def _is_in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
