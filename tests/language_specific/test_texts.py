"""Which texts find neurons and which test them; what is wrong with a file is said in one line."""

from pathlib import Path

import pytest

import planted
import planted_scores
import tiny
from language_plans import FEW_TEXTS
from neuron_atlas.facts import roles
from neuron_atlas.language_specific import texts
from neuron_atlas.language_specific.asked_facts import asked_facts
from neuron_atlas.language_specific.settings import OWN_TEXTS, LanguageSpecific
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring.log_probability import log_probabilities
from references import plain

HOW = FEW_TEXTS.model_copy(update={"max_tokens": 20, "min_tokens": 5, "n_texts": 3})
CODES = ("xa", "xb")
GOOD = "a b c\nd e f\n\ng h i\nj k l\n"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    file = tmp_path / "tokenizer.json"
    tiny.tokenizer().save(str(file))
    return file


def folder(tmp_path: Path, **files: bytes | None) -> LanguageSpecific:
    """Return parameters whose folder of texts has these files."""
    place = tmp_path / "mine"
    place.mkdir()
    for code, data in files.items():
        if data is not None:
            (place / f"{code}.txt").write_bytes(data)
    return HOW.model_copy(update={"texts": place})


def test_a_folder_of_texts_is_read(tmp_path: Path, tokenizer: Path) -> None:
    marked = b"\xef\xbb\xbf" + GOOD.encode()
    lines = texts.read_lines(folder(tmp_path, xa=GOOD.encode(), xb=marked), CODES, tokenizer)
    assert lines == {code: ["a b c", "d e f", "g h i", "j k l"] for code in CODES}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, r"expected .*xb\.txt, found none; give each language a file"),
        (b"", r"xb\.txt is empty; fill it"),
        (b" \n\n", r"xb\.txt has blank lines alone; fill it"),
        (b"a b c\nd e\n", r"xb\.txt: expected at least 5 tokens in every other line.*got 3; add"),
        (b"a b c d e f\n", r"xb\.txt: expected at least 5 tokens in every other line, and lines"),
        (b"a b\n\xff\n", r"xb\.txt, line 2: expected UTF-8, got the byte 0xff"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_names_it(
    tmp_path: Path, tokenizer: Path, data: bytes | None, said: str
) -> None:
    """No model is loaded for it: the tokenizer's file is all that there is."""
    how = folder(tmp_path, xa=GOOD.encode(), xb=data)
    with pytest.raises(ValueError, match=said) as error:
        texts.read_lines(how, CODES, tokenizer)
    assert "\n" not in str(error.value)


def test_own_prompts_need_no_folder(tokenizer: Path) -> None:
    own = HOW.model_copy(update={"texts": OWN_TEXTS})
    assert texts.read_lines(own, CODES, tokenizer) is None


def test_half_of_the_lines_find_neurons_and_the_others_test_them(decoder: LanguageModel) -> None:
    lines = [" ".join("abcdefgh"[: 2 + i % 5]) for i in range(20)]
    sample = texts.of_lines(decoder, {"xa": lines}, HOW, seed=0)["xa"]
    finding, testing = (
        {int(text.name.split()[1]) for text in half} for half in (sample.finding, sample.testing)
    )
    assert all(n % 2 == 1 for n in finding)
    assert all(n % 2 == 0 for n in testing)
    assert len(testing) == HOW.n_texts
    assert 20 - 6 < sample.n_tokens <= HOW.max_tokens
    longer = texts.of_lines(decoder, {"xa": [*lines, "a b"]}, HOW, seed=0)["xa"]
    assert longer.testing == sample.testing
    for seed in range(5):  # a line's place depends on no other
        most = texts._shuffled(range(1, 9), "xa", seed)
        assert [n for n in most if n < 8] == texts._shuffled(range(1, 8), "xa", seed)


def test_a_line_that_comes_twice_is_read_once(tmp_path: Path) -> None:
    """Else it would find neurons, and test them."""
    file = tmp_path / "xa.txt"
    file.write_text("a b\na b\n\nc d\na b\ne f\n", encoding="utf-8")
    assert texts._lines(file) == ["a b", "c d", "e f"]


def test_the_least_is_kept_even_if_one_text_goes_beyond_the_limit(decoder: LanguageModel) -> None:
    how = HOW.model_copy(update={"max_tokens": 5, "min_tokens": 5})
    lines = [" ".join("abcdefgh"), "a b", " ".join("abcdefg"), "b a"]
    sample = texts.of_lines(decoder, {"xa": lines}, how, seed=0)["xa"]
    assert len(sample.finding) == 1
    assert sample.n_tokens >= how.min_tokens


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_text_s_log_probability_is_that_of_its_tokens(family: str) -> None:
    lm = tiny.random_model(family)
    encoder = lm.architecture.encoder
    sample = texts.of_lines(lm, {"xa": ["a b", "c d e f"]}, HOW, seed=0)["xa"]
    (text,) = sample.testing
    query = text.query(encoder=encoder)
    assert text.n_tokens == 4
    assert text.n_asked == (1 if encoder else 4)
    assert len(query.prompt.before) == (3 if encoder else 1)  # <bos>
    (found,) = log_probabilities(lm, [query], everywhere=True)
    assert found[0, 0] == pytest.approx(plain(lm, query, query.answers[0]), abs=1e-4)


def test_a_text_without_a_special_token_in_front_is_asked_from_its_second_on() -> None:
    words = tiny.tokenizer()
    words.post_processor = None
    (text,) = texts._as_texts(words, ["a b c"], [0], encoder=False)
    assert (text.before, text.asked) == (0, (1, 3))
    assert text.query(encoder=False).prompt.before == text.ids[:1]


def test_own_prompts_that_find_neurons_share_no_subject_and_no_template_with_the_others(
    planted_model: LanguageModel,
) -> None:
    how = HOW.model_copy(update={"max_tokens": 200, "n_texts": 10})
    recalled = {code: planted_scores.recalled(planted_model, code) for code in ("xa", "xb")}
    found = texts.of_prompts(planted_model, recalled, how, seed=0)
    table = recalled["xa"]
    named = table["fact"] + " " + table["template"].astype(str)
    selecting, testing = (set(named[rows(table)]) for rows in (roles.selects, roles.tests))
    sample = found["xa"]
    assert {text.name for text in sample.finding} <= selecting
    assert {text.name for text in sample.testing} <= testing
    assert sample.n_tokens == 200  # of four words each
    assert len(sample.testing) == 10
    counts = [text.name.split(":")[0] for text in sample.testing]
    assert {counts.count(r) for r in planted.RELATIONS} == {2}
    for own, other in zip(sample.finding, found["xb"].finding, strict=True):
        assert own.name == other.name  # the same facts in every language
    words = planted.vocabulary()
    by_id = {i: word for word, i in words.items()}
    text = " ".join(by_id[i] for i in sample.finding[0].ids)
    assert text.startswith("<bos> xa_")
    assert f" : xa_{sample.finding[0].name.split(':')[0]}_a" in text


def test_the_labels_of_an_answer_in_all_languages(planted_model: LanguageModel) -> None:
    recalled = {code: planted_scores.recalled(planted_model, code) for code in ("xa", "xb")}
    third = recalled["xb"].assign(answer=recalled["xa"]["answer"])  # one text in two languages
    found = asked_facts({**recalled, "xc": third}, "xa", n=6, seed=0)
    assert len(found) == 6
    assert found["correct"].all()
    for labels, objects in zip(found["labels"], found["objects"], strict=True):
        word = objects[0].replace(".", "_a")
        assert labels == [f"xa_{word}", f"xb_{word}"]
    none = asked_facts({**recalled, "xa": recalled["xa"].assign(correct=False)}, "xa", n=6, seed=0)
    assert none.empty
