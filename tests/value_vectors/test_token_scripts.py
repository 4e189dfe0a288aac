"""Tokens as they are read, and the scripts of their letters."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import toy
from neuron_atlas.value_vectors import scripts

WRITTEN = {
    " Paris": "Latin",
    "Москва": "Cyrillic",
    "北京": "Han",
    "ひらがな": "Hiragana",
    "カタカナ": "Katakana",
    "서울": "Hangul",
    "مرحبا": "Arabic",
    "שלום": "Hebrew",
    "नमस्ते": "Devanagari",
    "ไทย": "Thai",
    "Ελλάδα": "Greek",
    "𐍈": "Other",  # Gothic
    "ー": "none",  # of kana in general
    " 12.": "none",
    "": "none",
    "\x00": "none",
    "<b>": "Latin",
    "Pа": "Latin",  # a Cyrillic а behind: of equally many the first
    "Moсква": "Cyrillic",
    "a\N{REPLACEMENT CHARACTER}": "none",
}


@pytest.mark.parametrize(("text", "script"), WRITTEN.items())
def test_a_text_is_of_the_script_of_most_of_its_letters(text: str, script: str) -> None:
    assert scripts.script_of(text) == script


def metaspace() -> Tokenizer:
    """As in sentencepiece models: the decoder drops a space in front of a text."""
    words = {"a": 0, "▁Paris": 1, "ris": 2, "<s>": 3, "▁": 4, "<0xE5>": 5}
    found = Tokenizer(models.WordLevel(words, unk_token="a"))
    found.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    found.add_special_tokens(["<s>"])
    return found


def wordpiece() -> Tokenizer:
    words = {"[UNK]": 0, "a": 1, "paris": 2, "##ing": 3, "[CLS]": 4}
    found = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    found.decoder = decoders.WordPiece()
    found.add_special_tokens(["[CLS]", "[UNK]"])
    return found


def byte_level() -> Tokenizer:
    words = {"a": 0, "ĠParis": 1, "å": 2, "<|end|>": 3, "Ð¼": 4}
    found = Tokenizer(models.WordLevel(words, unk_token="a"))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_special_tokens(["<|end|>"])
    return found


READ = {
    "metaspace": (metaspace, ["a", " Paris", "ris", "<s>", " ", scripts.BROKEN]),
    "wordpiece": (wordpiece, ["[UNK]", " a", " paris", "ing", "[CLS]"]),
    "byte level": (byte_level, ["a", " Paris", scripts.BROKEN, "<|end|>", "м"]),
}
NAMED = {
    "metaspace": ["Latin", "Latin", "Latin", "none", "none", "none"],
    "wordpiece": ["none", "Latin", "Latin", "Latin", "none"],
    "byte level": ["Latin", "Latin", "none", "none", "Cyrillic"],
}


@pytest.mark.parametrize("kind", READ)
def test_spaces_are_kept_and_special_tokens_have_no_script(kind: str) -> None:
    make, texts = READ[kind]
    found = scripts.vocabulary(make(), len(texts))
    assert found.texts == tuple(texts)
    assert [found.scripts[i] for i in found.script] == NAMED[kind]
    assert found.there.all()


def test_rows_of_the_head_without_a_token_are_not_there() -> None:
    found = scripts.vocabulary(metaspace(), 9)
    assert found.there.tolist() == [True] * 6 + [False] * 3
    assert found.texts[6:] == ("", "", "")
    assert found.of("Latin").tolist() == [0, 1, 2]
    assert found.of("none").tolist() == [3, 4, 5]
    assert found.of("Greek").tolist() == []
    assert scripts.vocabulary(metaspace(), 3).texts == ("a", " Paris", "ris")  # a smaller head


def test_the_tokens_of_a_real_byte_level_vocabulary_spell_its_texts() -> None:
    words = toy.tokenizer()
    found = scripts.vocabulary(words, words.get_vocab_size())
    for text in ("Land: Russland. Hauptstadt:", " Moskau"):
        ids = words.encode(text, add_special_tokens=False).ids
        assert "".join(found.texts[i] for i in ids) == text


def test_scripts_that_few_letters_have_are_not_the_runs() -> None:
    texts = [["Hauptstadt von Японии", "a" * 90 + "東"], ["東京は日本の"]]
    assert scripts.written_scripts(texts) == ["Han", "Hiragana", "Latin"]
    assert scripts.written_scripts([["12"]]) == []
