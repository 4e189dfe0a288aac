"""The stored tokenizer reads texts as the given one does, whatever transformers makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

import tiny
from neuron_atlas.model import given_tokenizer
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.weights import fetch

TEXTS = [*given_tokenizer.PROBES, "Hello World", "hello", "Ümläut Café", "Straße", "Köln"] * 3
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<unk>", "<s>", "</s>"]


def wordpiece(**normalizer: Any) -> Tokenizer:
    result = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    result.normalizer = normalizers.BertNormalizer(**normalizer)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=SPECIALS, show_progress=False
    )
    result.train_from_iterator(TEXTS, trainer)
    result.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    result.decoder = decoders.WordPiece()
    return result


def bytes_of(*, prefix: bool) -> Tokenizer:
    result = Tokenizer(models.BPE())
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    result.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    result.train_from_iterator(TEXTS, trainer)
    return result


def pieces(*, prefix: bool) -> Tokenizer:
    result = Tokenizer(models.BPE(unk_token="<unk>"))
    steps = [normalizers.Prepend("▁")] if prefix else []
    result.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIALS, show_progress=False)
    result.train_from_iterator([text.replace(" ", "▁") for text in TEXTS], trainer)
    return result


GIVEN: list[tuple[str, Tokenizer, dict[str, Any]]] = [
    ("bert", wordpiece(lowercase=False), {}),
    ("bert", wordpiece(lowercase=True, strip_accents=False), {"do_lower_case": True}),
    ("bert", wordpiece(lowercase=False, strip_accents=True), {"do_lower_case": False}),
    ("bert", wordpiece(lowercase=False), {"do_lower_case": True}),
    ("gpt2", bytes_of(prefix=True), {}),
    ("gpt2", bytes_of(prefix=False), {"add_prefix_space": True}),
    ("llama", pieces(prefix=False), {}),
    ("llama", pieces(prefix=True), {"legacy": True}),
]
CLASSES = {"bert": "BertTokenizer", "gpt2": "GPT2Tokenizer", "llama": "LlamaTokenizer"}


def source(
    folder: Path, family: str, tokenizer: Tokenizer, settings: dict[str, Any]
) -> ModelSource:
    tiny.random_model(family).network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": CLASSES[family], **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return ModelSource("path", str(folder))


@pytest.mark.parametrize(("family", "tokenizer", "settings"), GIVEN)
def test_a_given_tokenizer_is_kept(
    tmp_path: Path, family: str, tokenizer: Tokenizer, settings: dict[str, Any]
) -> None:
    given = source(tmp_path / "source", family, tokenizer, settings)
    fetch(given, tmp_path / "model", sha256=None, dtype="float32")
    stored = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert given_tokenizer.unlike(tokenizer, stored, TEXTS) is None


def test_the_special_tokens_of_the_family_stay(tmp_path: Path) -> None:
    tokenizer = wordpiece(lowercase=False)
    given = source(tmp_path / "source", "bert", tokenizer, {})
    fetch(given, tmp_path / "model", sha256=None, dtype="float32")
    stored = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert stored.encode("Köln").tokens[0] == "[CLS]"
    assert stored.encode("Köln").tokens[-1] == "[SEP]"


@pytest.mark.parametrize("settings", [{}, {"do_lower_case": True}])
def test_a_cased_vocabulary_that_would_be_lower_cased_is_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    tokenizer = wordpiece(lowercase=False)
    given = source(tmp_path / "source", "bert", tokenizer, settings)
    (tmp_path / "source" / "tokenizer.json").unlink()
    words = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    (tmp_path / "source" / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot make \d+ of \d+; state do_lower_case"):
        fetch(given, tmp_path / "model", sha256=None, dtype="float32")
    right = source(tmp_path / "source", "bert", tokenizer, {"do_lower_case": False})
    (tmp_path / "source" / "tokenizer.json").unlink()
    fetch(right, tmp_path / "model", sha256=None, dtype="float32")
    stored = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert stored.encode("Köln").tokens == tokenizer.encode("Köln").tokens
