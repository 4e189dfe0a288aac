"""What a text says, by hand: exact, beginning of the object, right at first, no answer at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

import tiny
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring.text_match import TextMatch, given_label, is_decided, line, match

PIECES = list(
    dict.fromkeys(
        [
            *"<abcdefghiklmnoprstuvwyzé PN/.,1\n法国人美BC",
            " Paris",
            "e\u0301",
            "\u200e",
            *"हिन्दी ไทย",
        ]
    )
)
LABELS = ["Paris", "New York", "km", "km/h", "1", "法国", "café", "D.C.", "हिन्दी", "ไทย"]


@pytest.fixture(scope="module")
def writer() -> LanguageModel:
    """A model whose tokens are characters."""
    lm = tiny.random_model("llama")
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<"))
    tokenizer.decoder = decoders.Fuse()
    return LanguageModel(lm.network, tokenizer, lm.architecture)


def judged(writer: LanguageModel, pieces: list[str], right: str) -> TextMatch:
    tokens = tuple(PIECES.index(p) for p in pieces)
    return match(writer, tokens, LABELS, np.array([label == right for label in LABELS]))


@pytest.mark.parametrize(
    ("pieces", "right", "expected"),
    [  # exact, prefix, begins_right, format_failure
        ([" Paris"], "Paris", (1, 1, 1, 0)),
        ([" Paris", "."], "Paris", (1, 0, 1, 0)),  # two tokens that no object begins with
        ([" Paris", ".", "\n", "N"], "Paris", (1, 0, 1, 0)),
        ([" Paris", "\n"], "Paris", (1, 1, 1, 0)),
        ([" Paris", ",", " ", "a"], "Paris", (0, 0, 1, 0)),
        ([" Paris"], "km", (0, 0, 0, 0)),  # wrong, but of the kind
        (list(" New"), "New York", (0, 1, 0, 1)),
        ([" ", *"Paris", "i"], "Paris", (0, 1, 0, 1)),  # another word
        (list("paris"), "Paris", (0, 0, 0, 1)),  # case counts
        ([], "Paris", (0, 0, 0, 1)),
        (["\n", " Paris"], "Paris", (0, 0, 0, 1)),
        ([" ", "\n"], "Paris", (0, 0, 0, 1)),
        (list("km/h"), "km", (0, 1, 0, 0)),  # the longer label is what it says
        (list("km/h"), "km/h", (1, 1, 1, 0)),
        (list("km/a"), "km", (0, 1, 1, 0)),
        (list("11"), "1", (0, 0, 0, 1)),
        (list("1 1"), "1", (0, 1, 1, 0)),
        (list("法国人"), "法国", (0, 1, 1, 0)),  # no spaces between words
        ([*"caf", "e\u0301"], "café", (1, 1, 1, 0)),  # the same letter, composed or not
        (["\u200e", *"Paris", "\u200e"], "Paris", (1, 1, 1, 0)),  # marks that nobody sees
        ([*"हिन्दी", "ी"], "हिन्दी", (0, 1, 0, 1)),  # another word: a vowel sign goes on
        (list("ไทยไ"), "ไทย", (0, 1, 1, 0)),
        ([*"D.", *"C."], "D.C.", (0, 0, 0, 1)),
    ],
)
def test_by_hand(
    writer: LanguageModel, pieces: list[str], right: str, expected: tuple[int, ...]
) -> None:
    pieces = [p for p in pieces if p != "D"] if right == "D.C." else pieces
    assert tuple(map(int, judged(writer, pieces, right))) == expected


def test_a_label_may_end_in_closing_punctuation() -> None:
    assert given_label("D.C., as", ["D", "D.C."]) == "D.C."
    assert given_label("D.C", ["D", "D.C."]) == "D"


def test_only_the_first_line_counts(writer: LanguageModel) -> None:
    assert line(writer, tuple(PIECES.index(p) for p in [" Paris", " ", "\n", "a"])) == "Paris"


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), st.integers(1, 7))
def test_what_is_decided_stays_so(writer: LanguageModel, pieces: list[str], n: int) -> None:
    tokens = tuple(PIECES.index(p) for p in pieces)
    for right in LABELS:
        flags = np.array([label == right for label in LABELS])
        begun, whole = (match(writer, some, LABELS, flags) for some in (tokens[:n], tokens))
        if is_decided(line(writer, tokens[:n]), LABELS):
            assert begun._replace(prefix=whole.prefix) == whole


def test_most_texts_are_decided_early() -> None:
    decided = {
        text for text in ("Paris, a", "Lyon", "km/a", "New Y", "1.", "") if is_decided(text, LABELS)
    }
    assert decided == {"Paris, a", "Lyon", "km/a"}
