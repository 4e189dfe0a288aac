"""Characters of scripts that put no spaces between words: Chinese, Japanese, Thai, Khmer, ..."""

from functools import cache, lru_cache

import regex

# Of Unicode's scripts: ideographs and kana, and those whose words only a dictionary can tell apart
# (line breaking class SA: Thai, Lao, Khmer, Burmese and others). Korean spaces its words.
_SOUTH_EAST = r"\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}\p{lb=SA}"
_SCRIPTS = r"\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{sc=Tibt}" + _SOUTH_EAST
_LETTER = regex.compile(f"[[{_SCRIPTS}]--[\\p{{P}}\\p{{Z}}\\p{{S}}]]", regex.V1)
_MARK = regex.compile(f"[[\\p{{P}}\\p{{S}}]&&[\\p{{ea=W}}\\p{{ea=F}}{_SOUTH_EAST}]]", regex.V1)


@cache
def is_unspaced(character: str) -> bool:
    """Say whether a character is a letter, digit or sign of a script without spaces."""
    return _LETTER.fullmatch(character) is not None


@cache
def takes_no_space(character: str) -> bool:
    """Say whether no space stands beside a character: a letter or mark of such scripts."""
    return is_unspaced(character) or _MARK.fullmatch(character) is not None


def meet(before: str, after: str) -> bool:
    """Say whether two texts are written together: both touch in scripts without spaces."""
    return takes_no_space(before[-1:]) and is_unspaced(after[:1])


@lru_cache(maxsize=1024)  # rows of a fact table share their candidates
def mostly_unspaced(labels: tuple[str, ...]) -> bool:
    """Say whether more than half of some labels begin with a letter of a script without spaces."""
    return 2 * sum(is_unspaced(label[:1]) for label in labels) > len(labels)
