"""Templates that fit the model are used, the others counted."""

import pytest

from neuron_atlas.wording import prompts
from neuron_atlas.wording.prompts import keep_usable
from neuron_atlas.wording.templates import languages, stand_ins


def test_a_decoder_takes_what_ends_with_the_object() -> None:
    found = keep_usable(
        [
            "The capital of {subject} is {object} .",
            "{object} is the capital of {subject}.",
            "{subject} has {object} as its capital",
            "\N{CJK UNIFIED IDEOGRAPH-6CD5}{subject}:{object}\N{IDEOGRAPHIC FULL STOP}",
        ],
        encoder=False,
    )
    assert found.texts == (
        "The capital of {subject} is {object}",
        "\N{CJK UNIFIED IDEOGRAPH-6CD5}{subject}:{object}",
    )
    assert found.left_out == {"blank": 0, "bad_slots": 0, "object_not_last": 2, "repeated": 0}


def test_an_encoder_takes_every_template_whole() -> None:
    texts = ["{object} is the capital of {subject}.", "{subject} has {object} as its capital ."]
    assert keep_usable(texts, encoder=True).texts == tuple(texts)


@pytest.mark.parametrize("encoder", [False, True])
def test_slots_that_miss_or_come_twice_are_counted(encoder: bool) -> None:
    texts = [
        "{subject} is",
        "{object}",
        "{subject} {subject} {object}",
        "{subject} {object} {object}",
    ]
    found = keep_usable(texts, encoder=encoder)
    assert found.texts == ()
    assert found.left_out["bad_slots"] == 4


@pytest.mark.parametrize("encoder", [False, True])
def test_a_literal_blank_is_counted(encoder: bool) -> None:
    texts = ["{subject} is in [MASK]", "{subject}: ____ {object}", "{subject} has <mask>."]
    found = keep_usable(texts, encoder=encoder)
    assert found.texts == ()
    assert found.left_out["blank"] == 3


def test_a_text_that_comes_again_is_used_once() -> None:
    texts = ["{subject} is {object} .", "{subject}  is {object}!", "{Subject} is {object}"]
    found = keep_usable(texts[:2], encoder=False)
    assert found.texts == ("{subject} is {object}",)
    assert found.left_out["repeated"] == 1


def test_one_of_ours_stands_in_only_where_none_is_left() -> None:
    given = {
        "P36": ("{object} rules {subject}.",),
        "P30": ("{subject} is in {object} .",),
        "P1": (),
    }
    ours = stand_ins("en")
    with_ours = prompts.choose_templates(given, ours, encoder=False, most=3)
    assert with_ours.texts == {
        "P36": ("{subject}, capital: {object}",),
        "P30": ("{subject} is in {object}",),
    }
    assert {r: row["stands_in"] for r, row in with_ours.counts.items()} == {
        "P36": True,
        "P30": False,
        "P1": False,
    }
    assert with_ours.counts["P36"]["left_out"]["object_not_last"] == 1
    assert set(prompts.choose_templates(given, {}, encoder=False, most=3).texts) == {"P30"}
    assert set(prompts.choose_templates(given, {}, encoder=True, most=3).texts) == {"P36", "P30"}


def test_the_first_paraphrases_are_used_and_the_others_counted() -> None:
    given = {"r": tuple(f"{{subject}} {word} {{object}}" for word in "abcd")}
    found = prompts.choose_templates(given, {}, encoder=False, most=3)
    assert found.texts["r"] == given["r"][:3]
    assert found.counts["r"]["left_out"]["beyond_paraphrases"] == 1
    assert found.counts["r"]["n_used"] == 3


@pytest.mark.parametrize("language", languages())
def test_every_language_of_ours_has_a_stand_in_for_each_relation_of_mlama(language: str) -> None:
    found = stand_ins(language)
    assert len(found) == 41
    assert len(set(found.values())) >= 38  # "place" and "location" may share a word
    assert keep_usable(found.values(), encoder=False).left_out["object_not_last"] == 0
    assert stand_ins("xx") == {}
