"""A label that the model would not be asked for as its own text is dropped or noted, by reason."""

from typing import Any

import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from neuron_atlas.fact_sets.cleaning import DropReasons, drop_reasons
from neuron_atlas.fact_sets.reading import Reading
from neuron_atlas.sources.raw import COLUMNS

WORDS = ["[UNK]", "paris", "rome", "cote", "Paris", "m2", "new", "york", "Côte", "x", "y"]


def reading(**normalizer: Any) -> Reading:
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return Reading(tokenizer)


def judged(reading: Reading, *labels: str) -> DropReasons:
    rows = [("r", f"Q{i}", "xy"[i], f"P{i}", label) for i, label in enumerate(labels)]
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
    return drop_reasons(table, reading, None)


UNCASED, CASED = reading(lowercase=True), reading(lowercase=False)


@pytest.mark.parametrize("label", ["Tokyo", "Paris Tokyo", "東京", "Москва", "€"])
def test_a_label_that_the_tokenizer_does_not_know_is_dropped(label: str) -> None:
    assert judged(CASED, label).dropped.tolist() == ["unknown_token"]


def test_so_is_a_subject() -> None:
    table = pd.DataFrame([("r", "Q1", "Ω", "Q2", "Paris")], columns=list(COLUMNS), dtype="str")
    assert drop_reasons(table, CASED, None).dropped.tolist() == ["unknown_token"]


@pytest.mark.parametrize(
    ("one", "two"),
    [("Côte", "Cote"), ("Cote", "côté"), ("Néw York", "new york")],
)
def test_of_labels_with_the_same_tokens_the_first_stays(one: str, two: str) -> None:
    assert judged(UNCASED, one, two).dropped.tolist() == ["", "same_tokens"]


@pytest.mark.parametrize("label", ["Paris", "Côte", "NEW YORK"])
def test_what_is_lower_cased_or_loses_accents_is_noted(label: str) -> None:
    found = judged(UNCASED, label)
    assert (found.dropped.tolist(), found.noted.tolist()) == ([""], ["altered_label"])


def test_compatible_letters_are_noted() -> None:
    tokenizer = reading().tokenizer
    assert tokenizer is not None
    tokenizer.normalizer = normalizers.NFKC()
    found = judged(Reading(tokenizer), "m²", "m2")
    assert found.noted.tolist()[0] == "altered_label"
    assert found.dropped.tolist() == ["", "same_tokens"]


@pytest.mark.parametrize("label", ["Paris", "Côte", "m2", "new york"])
def test_what_is_asked_as_its_own_text_stays(label: str) -> None:
    found = judged(CASED, label)
    assert (found.dropped.tolist(), found.noted.tolist()) == ([""], [""])


def test_without_a_tokenizer_nothing_is_known() -> None:
    found = judged(Reading(), "Tokyo", "tokyo!")
    assert (found.dropped.tolist(), found.noted.tolist()) == (["", ""], ["", ""])


def test_bytes_are_always_the_label_s_own() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    for label in ("Tokyo", "東京", "Ω", "می‌خواهم", "🇫🇷"):
        found = judged(Reading(tokenizer), label)
        assert (found.dropped.tolist(), found.noted.tolist()) == ([""], [""]), label
