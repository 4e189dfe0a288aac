"""The texts of a vocabulary's tokens, and in which script each is written."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import regex
from jaxtyping import Bool, Int64
from tokenizers import Tokenizer

from neuron_atlas.value_vectors.directions import NO_SCRIPT

# Unicode's names of the scripts in which people write today, and `Other` for the rest.
NAMES = (
    *("Latin", "Greek", "Cyrillic", "Armenian", "Georgian", "Hebrew", "Arabic", "Syriac"),
    *("Thaana", "Nko", "Ethiopic", "Tifinagh", "Vai", "Adlam", "Devanagari", "Bengali"),
    *("Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala"),
    *("Ol_Chiki", "Meetei_Mayek", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Mongolian"),
    *("Javanese", "Balinese", "Sundanese", "Han", "Hiragana", "Katakana", "Bopomofo", "Hangul"),
    *("Yi", "Cherokee", "Canadian_Aboriginal"),
)
OTHER, SHARED = "Other", "shared"  # another script; a letter that several scripts share
_GROUPS = [rf"(?P<{name}>\p{{Script={name}}})" for name in NAMES]
_SCRIPT = regex.compile("|".join([*_GROUPS, rf"(?P<{SHARED}>[\p{{Zyyy}}\p{{Zinh}}])"]))
_LETTER = regex.compile(r"\p{L}")
BROKEN = "\N{REPLACEMENT CHARACTER}"  # of a token that holds a part of a character
ANCHORS = ("a", "A", "e", "the", "0")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a model may say.

    Attributes:
        texts: Text of each token, a space in front kept; "" for an id that no token has.
        scripts: The scripts that occur, sorted.
        script: Of each token, its place in `scripts`.
        there: Whether the tokenizer has a token of this id.
    """

    texts: tuple[str, ...]
    scripts: tuple[str, ...]
    script: Int64[np.ndarray, " token"]
    there: Bool[np.ndarray, " token"]

    def of(self, script: str) -> Int64[np.ndarray, " _"]:
        """Return the ids of a script's tokens, rising; none if it does not occur."""
        if script not in self.scripts:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero((self.script == self.scripts.index(script)) & self.there)


def vocabulary(tokenizer: Tokenizer, n_tokens: int) -> Vocabulary:
    """Return the texts and scripts of the first `n_tokens` ids.

    Special tokens, and tokens without a letter of a script, are of the script `none`.
    """
    known = [i for i in tokenizer.get_vocab(with_added_tokens=True).values() if i < n_tokens]
    added = tokenizer.get_added_tokens_decoder()
    special = {i: str(token.content) for i, token in added.items() if token.special}
    texts = [""] * n_tokens
    for i, text in zip(known, _decoded(tokenizer, known), strict=True):
        texts[i] = special.get(i, text)
    named = [NO_SCRIPT if i in special else script_of(text) for i, text in enumerate(texts)]
    scripts, script = np.unique(np.array(named), return_inverse=True)
    there = np.zeros(n_tokens, dtype=np.bool_)
    there[known] = True
    return Vocabulary(tuple(texts), tuple(scripts.tolist()), script.astype(np.int64), there)


def _decoded(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """Return the text of each token behind another one: most decoders drop a space in front."""
    anchor = next((i for a in ANCHORS if (i := tokenizer.token_to_id(a)) is not None), None)
    front = [] if anchor is None else [anchor]
    start = tokenizer.decode(front, skip_special_tokens=False)
    behind = tokenizer.decode_batch([[*front, i] for i in ids], skip_special_tokens=False)
    alone = tokenizer.decode_batch([[i] for i in ids], skip_special_tokens=False)
    return [
        text.removeprefix(start) if text.startswith(start) else single
        for text, single in zip(behind, alone, strict=True)
    ]


def script_of(text: str) -> str:
    """Return the script of most of a text's letters, of equally many the first; `none` without any.

    Letters that several scripts share do not count, nor does a text with a broken character.
    """
    if BROKEN in text:
        return NO_SCRIPT
    counts = Counter(name for c in text if (name := _letter_script(c)) is not None)
    return counts.most_common(1)[0][0] if counts else NO_SCRIPT


@cache
def _letter_script(character: str) -> str | None:
    if _LETTER.fullmatch(character) is None:
        return None
    found = _SCRIPT.fullmatch(character)
    if found is None:
        return OTHER
    return None if found.lastgroup == SHARED else str(found.lastgroup)


def written_scripts(texts: Iterable[Iterable[str]], *, least: float = 0.1) -> list[str]:
    """Return the scripts that have at least this share of the letters in some group of texts."""
    found = set()
    for group in texts:
        letters = Counter(c for text in group for c in text)
        counts: Counter[str] = Counter()
        for character, n in letters.items():
            if (name := _letter_script(character)) is not None:
                counts[name] += n
        total = counts.total()
        found |= {name for name, n in counts.items() if n >= least * total}
    return sorted(found)
