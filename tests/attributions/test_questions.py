"""Questions are split into points, and queries into words, in every script."""

import pytest

import tiny
import toy
from neuron_atlas.attributions.questions import Question, points, words
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation


def asked(prompt: str, start: int = 0) -> Question:
    return Question(prompt, (9,), query=(start, len(prompt)))


def test_candidates_confine_each_token_to_their_prefix_tree() -> None:
    lm = tiny.random_model("llama")
    question = Question("a b", (9, 11), ((9, 11), (9, 12, 4), (13,), (13, 11), (9,)))
    first, second = points(lm, question)
    assert first.choices == (9, 13)
    assert second.choices == (11, 12)


def test_an_encoder_s_choices_are_the_pieces_at_each_mask() -> None:
    lm = tiny.random_model("bert")
    first, second = points(lm, Question("a b", (9, 11), ((9, 11), (7,), (8, 12, 4))))
    assert first.choices == (9, 7, 8)
    assert second.choices == (11, 12)
    assert first.ids[first.position] == tiny.MASK


def test_words_of_the_query_alone_are_hidden() -> None:
    lm = tiny.random_model("llama")
    prompt = "a b c d e"  # one token per letter, after <bos>
    assert words(lm, asked(prompt)) == [(1,), (2,), (3,), (4,)]  # e is read, so it stays
    assert words(lm, asked(prompt, start=4)) == [(3,), (4,)]


def test_a_word_of_several_tokens_is_hidden_whole_and_punctuation_is_none(
    toy_decoder: LanguageModel,
) -> None:
    prompt = "Country: Indonesia. Capital:"
    found = words(toy_decoder, asked(prompt))
    encoding = toy_decoder.tokenizer.encode(prompt)
    text = [prompt[encoding.offsets[w[0]][0] : encoding.offsets[w[-1]][1]].strip() for w in found]
    assert [t.rstrip(".:") for t in text] == ["Country", "Indonesia", "Capital"]
    last = len(encoding.ids) - 1
    assert all(last not in w for w in found)
    assert words(toy_decoder, asked("Country - Chad ; the end")) != []


def test_scripts_without_spaces_have_a_word_a_token(toy_decoder: LanguageModel) -> None:
    prompt = "\N{CJK UNIFIED IDEOGRAPH-56FD}\N{CJK UNIFIED IDEOGRAPH-5BB6}:Indonesia"
    assert len(words(toy_decoder, asked(prompt))) > 1


def test_a_query_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="has no word to occlude"):
        words(tiny.random_model("llama"), asked("? ! ."))


def test_answers_keep_their_case(toy_decoder: LanguageModel) -> None:
    """Gold answers of cased models are not lower-cased on the way to tokens."""
    upper = continuation(toy_decoder, "Country: Chad. Capital:", " Africa")
    lower = continuation(toy_decoder, "Country: Chad. Capital:", " africa")
    assert upper != lower
    question = Question("Country: Chad. Capital:", upper)
    assert tuple(p.token for p in points(toy_decoder, question)) == upper
    assert toy.tokenizer().decode(list(upper)).strip() == "Africa"
