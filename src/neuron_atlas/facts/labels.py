"""Names of things as they are compared: composed, and without characters that nobody sees.

`NFC` and `NFD` twins, marks of direction, soft hyphens and spaces without width differ for a
tokenizer and for `==`, but not for a reader: a right answer would have itself as a rival.
"""

import unicodedata

import regex

# Format characters, what is ignored by default (fillers, selectors), and controls; not white space,
# nor the Arabic number signs, which are seen.
_UNSEEN = regex.compile(
    r"[[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Cc}]"
    r"--[\s\p{Prepended_Concatenation_Mark}]]",
    regex.V1,
)
# Scripts whose letters a joiner shapes, or keeps apart: Persian, Hindi, Malayalam, Sinhala, ...
_JOINED = (
    r"[\p{sc=Arab}\p{sc=Syrc}\p{sc=Mong}\p{sc=Nkoo}\p{sc=Adlm}\p{sc=Deva}\p{sc=Beng}\p{sc=Guru}"
    r"\p{sc=Gujr}\p{sc=Orya}\p{sc=Taml}\p{sc=Telu}\p{sc=Knda}\p{sc=Mlym}\p{sc=Sinh}\p{sc=Khmr}"
    r"\p{sc=Mymr}\p{sc=Tibt}]"
)
_PICTURE = r"[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f]"
_NEEDED = regex.compile(
    rf"(?<={_JOINED})[\u200c\u200d](?=[\u200c\u200d]*{_JOINED})"
    r"|(?<=\p{InSC=Virama})\u200d"
    rf"|(?<={_PICTURE})\u200d(?={_PICTURE})"
    r"|(?<=\U0001f3f4[\U000e0020-\U000e007e]*)[\U000e0020-\U000e007f]"
    r"|(?<=\p{sc=Mong})[\u180b-\u180d\u180f]"
)
_BLANK = "\u2800"  # Braille without a dot looks like a space
_SEEN = regex.compile(r"[^\p{Z}\p{C}\p{M}]")


def cleaned(text: str) -> str:
    """Return a text in NFC, with single spaces between words and nothing that cannot be seen.

    Joiners stay where a script or a picture needs them. What has nothing to see becomes "".
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    needed = {found.start() for found in _NEEDED.finditer(text)}
    kept = (c for i, c in enumerate(text) if i in needed or not _UNSEEN.match(c))
    composed = unicodedata.normalize("NFC", "".join(kept).replace(_BLANK, " "))
    return " ".join(composed.split()) if _SEEN.search(composed) else ""


def caseless(text: str) -> str:
    """Return a text as it is compared where case does not count (Unicode 3.13, definition D145)."""
    apart = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", apart)
