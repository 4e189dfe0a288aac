"""Codes are near one another if CLDR says that they mean one language."""

import pytest

from neuron_atlas.sources.codes import near


@pytest.mark.parametrize(
    ("code", "others", "found"),
    [
        ("zh", ["zh-hant", "zh-hans", "en"], ["zh-hans", "zh-hant"]),
        ("zh-TW", ["zh-hans", "zh_Hant"], ["zh_Hant", "zh-hans"]),
        ("he", ["iw", "yi"], ["iw"]),
        ("sr", ["sr-latn", "sr-cyrl", "hr"], ["sr-cyrl", "sr-latn"]),
        ("pt", ["pt-br", "pt_PT", "es"], ["pt-br", "pt_PT"]),
        ("en", ["en", "de"], []),
        ("simple", ["en"], []),
        ("../x", ["en"], []),
    ],
)
def test_near_codes(code: str, others: list[str], found: list[str]) -> None:
    assert near(code, others) == found
