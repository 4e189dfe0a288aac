"""Say why a labelled triple cannot be asked, so that each reason is counted."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import regex
from jaxtyping import Bool

from neuron_atlas.fact_sets.reading import Reading
from neuron_atlas.facts.labels import caseless

REPEATED = ("duplicate", "conflict")
REASONS = (
    "empty_label",  # subject or object has no label
    "label_is_id",  # the label is the id: a translation is missing
    "same_label",  # subject and object are called the same
    "copy",  # the object's label is among the words of the subject's
    "mixed_scripts",  # a word of a label has letters of two scripts
    "long_answer",  # the object's label has more tokens than are allowed
    "unknown_token",  # the tokenizer does not know a part of a label
    "altered_label",  # a label's tokens are another text, such as its lower case; only noted
    "ambiguous",  # another subject, or another object, of the relation is called the same
    "same_tokens",  # another object of the relation has the same tokens
)
ALWAYS_NOTED = ("altered_label",)
Flags = Bool[np.ndarray, " triple"]
# Scripts that one text may mix: they count as one.
EAST_ASIAN = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "KATAKANA-HIRAGANA",
    "BOPOMOFO",
    "HANGUL",
    "IDEOGRAPHIC",
)
NEUTRAL = ("MASCULINE", "FEMININE", "MICRO", "MODIFIER")  # ordinal signs and the like
KEY = ["relation", "subject", "object"]
# Marks at which UAX 29 does not end a word: in "l'Europe" and "U.S." they do here.
_INSIDE = regex.compile(r"[\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=SQ}\p{WB=ExtendNumLet}]")


def repeated(table: pd.DataFrame) -> pd.Series:
    """Mark each triple that repeats an earlier one, or names a thing otherwise; else "".

    A `duplicate` has the relation, ids and labels of an earlier row. A `conflict` has its ids with
    other labels, or calls its subject or object by another name than most rows of the relation
    do: one id has one name, the earliest of those that are as frequent.
    """
    odd = _is_odd(table, "subject") | _is_odd(table, "object")
    again = odd | table[~odd].duplicated(KEY).reindex(table.index, fill_value=False).to_numpy()
    same = table.duplicated([*KEY, "subject_label", "object_label"])
    words = np.where(same, "duplicate", np.where(again, "conflict", ""))
    return pd.Series(words, index=table.index, dtype="str")


def _is_odd(table: pd.DataFrame, thing: str) -> Flags:
    """Flag rows whose label is not the usual one of its id in the relation; missing ones are not.

    Labels that differ by case alone are the same name.
    """
    label, ids = table[f"{thing}_label"].str.strip(), table[thing]
    named = pd.DataFrame({"relation": table["relation"], "id": ids, "label": _caseless(label)})
    there = ((label != "") & ~((label == ids) & _is_wikidata(ids))).to_numpy(np.bool_)
    counts = (
        named[there].groupby(["relation", "id", "label"], sort=False).size().reset_index(name="n")
    )
    usual = counts.sort_values("n", ascending=False, kind="stable").drop_duplicates(
        ["relation", "id"]
    )
    found = named.merge(usual, on=["relation", "id"], how="left")["label_y"].to_numpy()
    return np.asarray(there & (found != named["label"].to_numpy()), dtype=np.bool_)


def _is_wikidata(ids: pd.Series) -> pd.Series:
    """Say whether ids are Wikidata's; in a source without ids the labels are the ids."""
    return ids.str.fullmatch(r"[QP]\d+")


def _caseless(labels: pd.Series) -> pd.Series:
    codes, values = pd.factorize(labels)
    return pd.Series(
        np.array([caseless(str(v)) for v in values], dtype=object)[codes], index=labels.index
    )


@dataclass(frozen=True)
class DropReasons:
    """Per triple, "" for none: why it is dropped, and which allowed reason is noted."""

    dropped: pd.Series
    noted: pd.Series


def drop_reasons(
    table: pd.DataFrame,
    reading: Reading,
    most_tokens: int | None,
    allowed: Collection[str] = (),
) -> DropReasons:
    """Give each triple the first of `REASONS` that holds for it.

    Args:
        table: Triples of one language (`raw.COLUMNS`), none repeated.
        reading: What the tokenizer makes of labels.
        most_tokens: Most tokens per answer; None allows any number.
        allowed: Reasons that are only noted. `ambiguous` cannot be one of them, because a question
            must have one answer.
    """
    reason, noted = (np.full(len(table), "", dtype=object) for _ in range(2))
    stripped = {name: table[name].str.strip() for name in ("subject_label", "object_label")}
    for name, flags in _flags(table, stripped, reading, most_tokens):
        found = noted if name in (*allowed, *ALWAYS_NOTED) else reason
        found[flags & (found == "")] = name
    for name, rule in (("ambiguous", _ambiguous), ("same_tokens", partial(_same_tokens, reading))):
        rest = np.flatnonzero(reason == "")
        reason[rest[rule(table.iloc[rest])]] = name
    return DropReasons(*(pd.Series(x, index=table.index, dtype="str") for x in (reason, noted)))


def _flags(
    table: pd.DataFrame,
    stripped: dict[str, pd.Series],
    reading: Reading,
    most_tokens: int | None,
) -> Iterable[tuple[str, Flags]]:
    subject, obj = stripped["subject_label"], stripped["object_label"]
    yield "empty_label", ((subject == "") | (obj == "")).to_numpy()
    ids = {name: _is_wikidata(table[name]) for name in ("subject", "object")}
    unnamed = (subject == table["subject"]) & ids["subject"]
    yield "label_is_id", (unnamed | ((obj == table["object"]) & ids["object"])).to_numpy(np.bool_)
    low, inner = _caseless(subject).to_list(), _caseless(obj).to_list()
    yield "same_label", np.array([a == b for a, b in zip(low, inner, strict=True)], dtype=np.bool_)
    copied = [b in a and _has_words(a, b) for a, b in zip(low, inner, strict=True)]
    yield "copy", np.array(copied, dtype=np.bool_)
    mixed = _each(subject, _is_mixed) | _each(obj, _is_mixed)
    yield "mixed_scripts", mixed
    if most_tokens is not None:
        yield "long_answer", _each(obj, lambda text: reading.n_tokens(text) > most_tokens)
    yield "unknown_token", _each(subject, reading.has_unknown) | _each(obj, reading.has_unknown)
    yield "altered_label", _each(subject, reading.alters) | _each(obj, reading.alters)


def _each(labels: pd.Series, rule: Callable[[str], bool]) -> Flags:
    """Apply a rule to every label, once per distinct label."""
    codes, values = pd.factorize(labels)
    answers = np.array([rule(str(text)) for text in values], dtype=np.bool_)
    flags: Flags = answers[codes] if len(values) else np.zeros(0, dtype=np.bool_)
    return flags


def _has_words(text: str, part: str) -> bool:
    """Say whether `part`, a part of `text`, is made of whole words of it.

    "Asia" is no word of "Malaysia". Words end where Unicode says (UAX 29), and at apostrophes and
    dots; in scripts without spaces, such as Thai, at any letter. So it is in East Asian ones.
    """
    if "CJK" in scripts(part):
        return True
    whole, inner = (_INSIDE.sub(" ", x).strip() for x in (text, part))
    word = rf"(?w)(?:^|\b){regex.escape(inner)}(?:\b|$)"
    return regex.search(word, whole) is not None


def _is_mixed(text: str) -> bool:
    """Say whether a word has letters of two scripts; East Asian words may have Latin letters."""
    if text.isascii():
        return False
    found = (scripts(word) for word in regex.findall(r"\w+", text))
    return any(len(one) > 1 and not one <= {"CJK", "LATIN"} for one in found)


def scripts(text: str) -> set[str]:
    """Return the scripts of a text's letters, by the first word of their Unicode names.

    Chinese, Japanese and Korean characters count as one script, because texts mix them; signs
    used in every script, such as the marks of ordinal numbers, count as none.
    """
    return {_script(c) for c in text if c.isalpha()} - {""}


@cache
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN")
    first = name.replace("FULLWIDTH ", "").replace("HALFWIDTH ", "").split(maxsplit=1)[0]
    if first in NEUTRAL:
        return ""
    return "CJK" if first in EAST_ASIAN else first


def _ambiguous(table: pd.DataFrame) -> Flags:
    """Flag triples with a label that an earlier id of the same relation has."""
    flags = np.zeros(len(table), dtype=np.bool_)
    for thing in ("subject", "object"):
        flags |= _shared(table, thing, _caseless(table[f"{thing}_label"].str.strip()))
    return flags


def _same_tokens(reading: Reading, table: pd.DataFrame) -> Flags:
    """Flag triples whose object is read as an earlier one of the same relation."""
    if reading.tokenizer is None:
        return np.zeros(len(table), dtype=np.bool_)
    codes, values = pd.factorize(table["object_label"].str.strip())
    tokens = np.array([str(reading.ids(str(text))) for text in values], dtype=object)[codes]
    return _shared(table, "object", pd.Series(tokens, index=table.index))


def _shared(table: pd.DataFrame, thing: str, name: pd.Series) -> Flags:
    """Flag triples of which an earlier id of the same relation has the name."""
    named = pd.DataFrame({"relation": table["relation"], "id": table[thing], "name": name})
    first = named.drop_duplicates(["relation", "name"])
    owner = named.merge(first, on=["relation", "name"], how="left")["id_y"].to_numpy()
    return np.asarray(owner != named["id"].to_numpy(), dtype=np.bool_)


def count_reasons(reason: pd.Series, relation: pd.Series, names: Sequence[str]) -> dict[str, Any]:
    """Return, for every relation, the number of triples with each of the reasons `names`."""
    table = pd.crosstab(relation, reason).reindex(columns=list(names), fill_value=0)
    return {str(r): {n: int(row[n]) for n in names} for r, row in table.iterrows()}
