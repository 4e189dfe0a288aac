"""What stands between a prompt's words, its subject and its answer: a space, or nothing."""

import unicodedata
from typing import NamedTuple

from neuron_atlas.facts.unspaced import is_unspaced, meet, mostly_unspaced, takes_no_space
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT

# By an opening quotation mark, those that close it in some language: „a“, “a”, »a«, «a», ”a”.
CLOSED_BY = {
    '"': '"', "'": "'", "`": "`'", "“": "”“", "”": "”", "„": "“”", "‟": "”",
    "‘": "’‘", "’": "’", "‚": "‘’", "‛": "’", "«": "»", "»": "«»", "‹": "›", "›": "‹›",
}  # fmt: skip
APOSTROPHES = "'’ʼ"
BEFORE_WORDS = "+.#@¿¡"  # they belong to the word that follows if a space stands before them


class Asked(NamedTuple):
    """A template as one fact is asked with it.

    Attributes:
        prompt: The text with the subject; `{object}` stays where text follows the answer.
        gap: What stands between the text before the answer and the answer: a space or nothing.
        start: Where the subject stands in the text, in characters.
    """

    prompt: str
    gap: str
    start: int


def ask(template: str, subject: str, labels: tuple[str, ...], separator: str) -> Asked:
    """Put a subject into a template, and find the gap before its answer.

    The gap is the template's own, or `separator` where it has no `{object}`. In two places there is
    none: behind a mark that opens something, and between letters of scripts without spaces, where
    the subject's gaps go too. All candidates of a prompt have the same gap, that of most of them.

    Args:
        template: Has one `{subject}`, and at most one `{object}`.
        subject: The subject's label.
        labels: Of the candidates.
        separator: What the language puts between words.
    """
    before, slot, after = template.partition(OBJECT)
    text = before.rstrip() if slot else before
    gap = (" " if text != before else "") if slot else join(text, separator)
    unspaced = mostly_unspaced(labels)
    parts = text if SUBJECT in text else after
    if unspaced and takes_no_space(_last(text, subject)):
        gap = ""
    if unspaced and takes_no_space(after.lstrip()[:1]):
        after = after.lstrip()
    whole = text + (OBJECT + after if after else "")
    if SUBJECT in parts:
        left, right = whole.split(SUBJECT)
        left = left.rstrip() if meet(left.rstrip(), subject) else left
        right = right.lstrip() if subject and _follows(subject, right.lstrip()) else right
        return Asked(left + subject + right, gap, len(left))
    return Asked(whole, gap, 0)


def _last(text: str, subject: str) -> str:
    return subject[-1:] if text.endswith(SUBJECT) else text[-1:]


def _follows(subject: str, text: str) -> bool:
    return is_unspaced(subject[-1]) and takes_no_space(text[:1])


def join(text: str, separator: str) -> str:
    """Return what goes between a text and an answer behind it: nothing after an opening mark."""
    return "" if opens(text) else separator


def opens(text: str) -> bool:
    """Say whether a text ends in a mark that opens something, so that an answer follows at once.

    That is an opening bracket; a quotation mark, unless it closes one that is open or stands at the
    end of a word; an apostrophe of an elision (`l'`), but not of a genitive (`the Netherlands'`); a
    sign of currency or one of `BEFORE_WORDS` behind a space, as in the Internet domain `.fr`.
    """
    last, before = text[-1:], text[:-1]
    if not last:
        return False
    if last in CLOSED_BY or last in APOSTROPHES:
        return _opens_quotation(text)
    if unicodedata.category(last) in ("Ps", "Pi"):
        return True
    return (last in BEFORE_WORDS or unicodedata.category(last) == "Sc") and _is_free(before)


def _is_free(before: str) -> bool:
    """Say whether a word may begin behind a text: it ends in a space, or an opening mark."""
    return not before or before[-1].isspace() or is_unspaced(before[-1]) or opens(before)


def _opens_quotation(text: str) -> bool:
    """Say whether the last mark opens, given the quotations that are open before it."""
    waiting: list[str] = []
    opened = False
    for i, mark in enumerate(text):
        opened = False
        inside = text[i - 1 : i].isalnum() and text[i + 1 : i + 2].isalnum()
        if mark in APOSTROPHES and inside:
            continue
        if waiting and mark in waiting[-1]:
            waiting.pop()
        elif mark in CLOSED_BY and _may_open(text[:i], mark):
            waiting.append(CLOSED_BY[mark])
            opened = True
        elif mark in APOSTROPHES:
            opened = _is_elision(text[:i])
    return opened


def _may_open(before: str, mark: str) -> bool:
    last = before[-1:]
    at_word = last.isalnum() or last in ("}", ".", ",", "!", "?", ")")
    return not at_word or is_unspaced(last) or mark in "„‚"


def _is_elision(before: str) -> bool:
    """Say whether a word is cut off before an apostrophe; a genitive ends in s, x or z."""
    word = before.split()[-1:] or [""]
    return word[0].isalpha() and (len(word[0]) == 1 or word[0][-1].lower() not in "sxz")
