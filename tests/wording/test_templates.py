"""Templates: those shipped are sound, and every rule can be seen to fire."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import lint_templates
from neuron_atlas.builtin_facts.choice import REFERENCE
from neuron_atlas.builtin_facts.world import RELATIONS
from neuron_atlas.wording import templates

GOOD = ["Country: {subject}. Capital:", "The capital of {subject} is", "{subject}: capital"]


def write(folder: Path, texts: object, language: str = "en", **header: Any) -> None:
    content = {"name": "English", "separator": " ", "templates": {"capital": texts}} | header
    YAML(typ="safe").dump(content, folder / f"{language}.yaml")


@pytest.mark.parametrize("language", templates.languages())
def test_every_language_asks_for_every_relation_in_four_ways(language: str) -> None:
    loaded = templates.load(language)
    assert set(loaded.templates) == set(RELATIONS)
    assert all(len(texts) >= 4 for texts in loaded.templates.values())
    for text in sum(loaded.templates.values(), ()):
        assert text.format(subject="X").count("X") >= 1


def test_the_reference_languages_all_have_templates() -> None:
    assert set(REFERENCE) <= set(templates.languages())


@pytest.mark.parametrize("language", templates.languages())
def test_paraphrases_differ_in_more_than_punctuation(language: str) -> None:
    for relation, texts in templates.load(language).templates.items():
        bare = {"".join(c for c in text if c.isalnum()).casefold() for text in texts}
        assert len(bare) == len(texts), relation


def test_only_chinese_and_japanese_put_no_space_before_the_answer() -> None:
    bare = {code for code in templates.languages() if templates.load(code).separator == ""}
    assert bare == {"zh", "ja"}


def test_hardly_a_prompt_is_the_same_in_two_languages() -> None:
    texts = {c: set(sum(templates.load(c).templates.values(), ())) for c in templates.languages()}
    for one, two in combinations(texts, 2):
        assert len(texts[one] & texts[two]) <= 0.1 * len(texts[one]), (one, two)  # "Capital:"


def test_templates_of_one_number_end_alike_in_each_language() -> None:
    assert templates.unlike_endings() == []


@pytest.mark.parametrize(
    ("text", "kind"), [("The domain of {subject} is .", "mark"), ("Domain of {subject}:", "colon")]
)
def test_an_ending_that_gives_the_relation_away_is_named(
    tmp_path: Path, text: str, kind: str
) -> None:
    content = {"capital": GOOD, "continent": GOOD, "domain": [GOOD[0], text, GOOD[2]]}
    write(tmp_path, GOOD, templates=content)
    (found,) = templates.unlike_endings(tmp_path)
    assert found.startswith(f"{tmp_path / 'en.yaml'}: domain, paraphrase 2: ends in a {kind}, but")
    write(tmp_path, GOOD, templates=content | {"domain": GOOD})
    assert templates.unlike_endings(tmp_path) == []


def test_a_good_file_loads(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert templates.load("en", tmp_path).templates == {"capital": tuple(GOOD)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("The capital is", "exactly once, found it 0 times"),
        ("{subject} and {subject}:", "exactly once, found it 2 times"),
        ("{subject} in {country}:", "a brace outside"),
        ("Capital of {subject}: ", "a space at the beginning or end"),
        (" Capital of {subject}:", "a space at the beginning or end"),
        ("Capital  of {subject}:", "a doubled space"),
        ("Capital\tof {subject}:", "tab"),
        (False, "put it in quotes"),
        (GOOD[0], "the same as number 1, but for punctuation"),
    ],
)
def test_each_rule_names_file_relation_and_paraphrase(
    tmp_path: Path, text: object, message: str
) -> None:
    write(tmp_path, [*GOOD, text])
    with pytest.raises(ValueError, match=message) as raised:
        templates.load("en", tmp_path)
    assert f"{tmp_path / 'en.yaml'}: capital, paraphrase 4: " in str(raised.value)


@pytest.mark.parametrize("texts", [GOOD[:2], "one {subject}", None])
def test_too_few_paraphrases_are_refused(tmp_path: Path, texts: object) -> None:
    write(tmp_path, texts)
    with pytest.raises(ValueError, match="capital: expected at least 3 paraphrases, got"):
        templates.load("en", tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"separator": "  "}, "separator '' or ' '"),
        ({"name": 3}, "name must be text"),
        ({"templates": []}, "must map relations to lists"),
        ({"extra": 1}, "must have the keys"),
    ],
)
def test_a_broken_header_is_refused(tmp_path: Path, header: dict[str, Any], message: str) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "fr", **header)
    with pytest.raises(ValueError, match=message):
        templates.load("fr", tmp_path)


def test_an_unknown_relation_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "fr", templates={"capitol": GOOD})
    with pytest.raises(ValueError, match=r"unknown relations \['capitol'\]; known: \['capital'\]"):
        templates.load("fr", tmp_path)


def test_a_missing_language_is_told_which_there_are() -> None:
    with pytest.raises(ValueError, match="one of de, en, es, fr, it, ja, pt, ru, tr, zh, got 'ko'"):
        templates.load("ko")


def test_an_object_amid_is_refused_for_a_decoder_alone(tmp_path: Path) -> None:
    write(tmp_path, [*GOOD, "{object} is the capital of {subject}"])
    with pytest.raises(ValueError, match="paraphrase 4: the object is not last"):
        templates.load("en", tmp_path)
    assert len(templates.load("en", tmp_path, encoder=True).templates["capital"]) == 4
    write(tmp_path, [*GOOD, "{object} {object} of {subject}"])
    with pytest.raises(ValueError, match="at most once, found it 2 times"):
        templates.load("en", tmp_path, encoder=True)


def test_the_command_names_every_broken_template_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path,
        ["The capital is", "{subject} has  it:", "In {subject} it is", "in {subject}, it is"],
    )
    assert lint_templates.main([str(tmp_path)]) == 1
    found = capsys.readouterr().out.splitlines()
    assert len(found) == 3
    for line, words in zip(found, ("exactly once", "a doubled space", "the same as"), strict=True):
        assert line.startswith(f"{tmp_path / 'en.yaml'}: capital, paraphrase ")
        assert words in line
    assert lint_templates.main([]) == 0
    assert "templates in 10 languages are sound" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert lint_templates.main([str(tmp_path / "empty")]) == 1
