"""Blanks that a template's writer left for the answer, where `{object}` is meant."""

import re

from neuron_atlas.pipeline.slots import OBJECT, SUBJECT

_BRACKETS = r"()（）[]【】［］「」『』《》〈〉<>"
_KINDS = (
    r"\[[A-Z][A-Z0-9_]*\]",  # [MASK], [Y]
    r"(?i:\[\s*(?:mask|blank|answer|object|obj|y)\s*\])",
    r"(?i:<\|?(?:mask|blank|answer|object|obj|target|y|fill\w*|extra_id_\d+|sentinel_\d+)\|?>)",
    r"_{2,}|＿+|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])",  # ____, but not snake_case
    r"(?:\.{3,}|…+)[\s.。!?！？]*$",
    r"-{2,}[\s.。!?！？]*$",
    r"[?？]{2,}",
    r"[□■▢▯]+",
    r"%s|%\(\w+\)s",
    r"(?<![A-Za-z])BLANK(?![A-Za-z])",
    *(  # empty brackets
        re.escape(left) + r"[\s.…]*" + re.escape(right)
        for left, right in zip(_BRACKETS[::2], _BRACKETS[1::2], strict=True)
    ),
)
_BLANK = re.compile("|".join(_KINDS))


def literal_blank(template: str) -> str | None:
    """Return the first blank in a template that is no `{object}`, such as `[MASK]` or `____`.

    The answer would be put behind it, not in its place.
    """
    found = _BLANK.search(template.replace(SUBJECT, "a").replace(OBJECT, "a"))
    return found[0].strip() if found else None
