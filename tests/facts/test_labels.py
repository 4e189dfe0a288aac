"""What looks the same is the same; what a script needs stays."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.facts.labels import caseless, cleaned

SAME = [
    ("caf\u00e9", "cafe\u0301"),
    ("Paris", "Paris\u200e"),
    ("Paris", "\u200fPa\u00adris"),
    ("Köln", "Ko\u0308ln\u200b"),
    ("東京", "東\u200b京"),
    ("ភ្នំពេញ", "ភ្នំ\u200bពេញ"),
    ("القاهرة", "\u202bالقاهرة\u202c"),
    ("תל אביב", "\u2067תל\u00a0אביב\u2069"),
    ("São Tomé", "Sa\u0303o\u2009Tome\u0301"),
    ("Paris", "\ufeffParis"),
    ("Paris", "Pa\u200dris"),
    ("Paris", "Pa\u200cris\u2060"),
    ("कम", "कम\u200c"),
    ("서울", unicodedata.normalize("NFD", "서울")),
    ("a b", "a\u0000 b\u0007"),
    ("葛", "葛\U000e0100"),
    ("à", "a\u034f\u0300"),
    ("Å", "\u212b"),
    ("a b", "a\u3000\u2800b"),
    ("می‌خواهم", "می‌خواهم‌"),
    ("می‌خواهم", "می‌‌خواهم"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_what_looks_the_same_is_the_same(one: str, two: str) -> None:
    assert one != two
    assert cleaned(one) == cleaned(two) == one


@pytest.mark.parametrize(
    "text",
    ["می‌خواهم", "क्‍ष", "ක්‍රි", "നന്‍", "👩‍🔬", "🏴\U000e0067\U000e0062\U000e0065\U000e007f",
     "\u0600\u0661\u0662", "m²", "ﬁ", "Ａ", "Iğdır", "İzmir", "ß", "নৎ", "-40 °C"],
)  # fmt: skip
def test_what_a_script_needs_or_a_reader_sees_stays(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    "text", ["\u200b", "\u200e\u00ad", " \u2060 ", "\u2800", "\u3164", "\u0301", ""]
)
def test_a_label_without_anything_to_see_is_empty(text: str) -> None:
    assert cleaned(text) == ""


@given(st.text())
def test_cleaning_is_done_once(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())


@given(st.text(st.characters(whitelist_categories=["Lu", "Ll", "Nd"]), min_size=1))
def test_letters_and_digits_are_all_kept(text: str) -> None:
    assert cleaned(text) == unicodedata.normalize("NFC", text)


def test_case_does_not_count() -> None:
    assert caseless("STRASSE") == caseless("straße")
    assert caseless("ΑΘΗΝΑΣ") == caseless("αθηνας")
    assert caseless("É") == caseless("e\u0301")
    assert caseless("mW") == caseless("MW")
    assert caseless("Rome") != caseless("Roma")
