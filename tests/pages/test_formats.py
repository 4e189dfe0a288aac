"""How pages write numbers and texts."""

import pytest

from neuron_atlas.pages import formats

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("by -0.05 [-0.12, +0.07]", f"by {MINUS}0.05 [{MINUS}0.12, +0.07]"),
        ("push-matched, 2007-08, a-1, --1", "push-matched, 2007-08, a-1, --1"),
        ("-3", f"{MINUS}3"),
    ],
)
def test_a_minus_is_typographic_before_numbers_alone(text: str, shown: str) -> None:
    assert formats.minus(text) == shown


def test_a_token_shows_its_space_and_what_cannot_be_printed() -> None:
    assert formats.token(" Paris") == "␣Paris"
    assert formats.token("\n\u202e\u200d") == "U+000AU+202EU+200D"
    assert formats.token("שלום") == "שלום"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (1234, "1,234"),
        (-0.12345, f"{MINUS}0.123"),
        ("<b>", "<b>"),
    ],
)
def test_any_value_of_a_table_is_written(value: object, shown: str) -> None:
    assert formats.plain(value) == shown


def test_a_sentence_begins_and_ends_as_one() -> None:
    assert formats.sentence("too few facts") == "Too few facts."
    assert formats.sentence("Done.") == "Done."
