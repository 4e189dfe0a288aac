"""Store the tokenizer that a model came with: what is stored has to read texts as it does.

transformers rebuilds a tokenizer by its class's defaults when it is loaded. So a cased BERT without
`do_lower_case` is lower-cased, and a prefix space comes or goes.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

FILE = "tokenizer.json"
MOST_UNREACHABLE = 0.05  # of a vocabulary; of a published uncased one it is under 0.01
# Capitals, accents, doubled and outer spaces, composed and decomposed letters, digits, marks, and
# scripts with and without case, joiners and spaces.
PROBES = (
    "Paris", "The capital of France is", " Paris", "  two  spaces ", "ÉCOLE Über naïve", "e\u0301",
    "İstanbul ılık", "Straße ß ẞ", "Москва́ Ёлка", "ΑΘΗΝΑ Αθήνα", "القاهرة مِصْر", "می‌خواهم",
    "ירושלים שָׁלוֹם", "नई दिल्ली क्षेत्र", "กรุงเทพมหานคร", "東京 北京市 かな カナ ﾊﾝｶｸ", "서울 한국어",
    "ភ្នំពេញ", "ქართული", "Հայաստան", "1,234.5 km/h +49 .fr", "“a” «b» 'c' l'eau", "a\nb\tc",
    "ﬁ ² ½ Ａ", "👩‍🔬 🇫🇷",
)  # fmt: skip


def keep(folder: Path, origin: Path, where: str) -> None:
    """Require the stored tokenizer to read texts as the given one, or put the given one in place.

    Args:
        folder: Has the tokenizer that transformers stored.
        origin: Where it came from; without `tokenizer.json` nothing is put in place.
        where: The source, for messages.

    Raises:
        ValueError: nothing is given that could be kept, and the stored one makes little of its own
            vocabulary.
    """
    stored = Tokenizer.from_file(str(folder / FILE))
    if not (origin / FILE).exists():
        _require_own_vocabulary(stored, where)
        return
    given = Tokenizer.from_file(str(origin / FILE))
    if unlike(given, stored) is None:
        return
    if given.num_special_tokens_to_add(False) == 0:  # transformers knows which to add
        given.post_processor = stored.post_processor
    given.save(str(folder / FILE))


def unlike(one: Tokenizer, two: Tokenizer, probes: Iterable[str] = PROBES) -> str | None:
    """Return the first probe that two tokenizers read differently, special tokens apart."""
    return next((text for text in probes if _ids(one, text) != _ids(two, text)), None)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def _require_own_vocabulary(tokenizer: Tokenizer, where: str) -> None:
    """Refuse a tokenizer that lower-cases or strips accents, but has a vocabulary with them."""
    if tokenizer.normalizer is None:
        return
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    words = [word.removeprefix("##") for word in tokenizer.get_vocab() if word not in special]
    words = [word for word in words if word.isalpha()]
    changed = [word for word in words if _changes(tokenizer, word)]
    if len(changed) > MOST_UNREACHABLE * len(words):
        raise ValueError(
            f"{where}: expected a tokenizer that can make its own tokens, got one that reads "
            f"{changed[0]!r} as {tokenizer.normalizer.normalize_str(changed[0])!r} and so cannot "
            f"make {len(changed)} of {len(words)}; state do_lower_case and strip_accents in "
            f"tokenizer_config.json, or bring {FILE}"
        )


def _changes(tokenizer: Tokenizer, word: str) -> bool:
    """Say whether normalisation changes a word's letters; it may put marks around them."""
    found: str = tokenizer.normalizer.normalize_str(word)
    return word not in found
