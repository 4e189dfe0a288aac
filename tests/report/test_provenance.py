"""Which run a page is of: its parameters, and those that are not as shipped."""

from dataclasses import replace

import results
from neuron_atlas.pipeline.params import read_yaml
from neuron_atlas.report import provenance
from repository import ROOT

SHIPPED = {"seed": 0, "languages": {"en": {}, "zh": {}}, "a": {"b": {"c": 1}, "d": None}}


def test_values_have_dotted_names_and_languages_are_one_value() -> None:
    assert provenance.flat(SHIPPED) == {
        "seed": "0",
        "languages": '["en", "zh"]',
        "a.b.c": "1",
        "a.d": "null",
    }


def test_what_changed_was_added_or_is_missing_is_named_with_both_values() -> None:
    before = provenance.flat(SHIPPED)
    other = SHIPPED | {"languages": {"en": {}, "zh": {}, "it": {}}, "a": {"b": {"c": 2}}, "e": True}
    assert provenance.changed(before, before) == {}
    assert provenance.changed(provenance.flat(other), before) == {
        "languages": {"shipped": '["en", "zh"]', "value": '["en", "zh", "it"]'},
        "a.b.c": {"shipped": "1", "value": "2"},
        "e": {"shipped": provenance.ABSENT, "value": "true"},
        "a.d": {"shipped": "null", "value": provenance.ABSENT},
    }


def test_a_run_as_shipped_has_no_changed_parameter_and_another_seed_is_one() -> None:
    given = results.everything()
    shipped = read_yaml(ROOT / "params.yaml")
    found = provenance.made_from(replace(given, parameters=shipped))
    assert found["changed"] == {}
    assert found["model"]["sha256"] == given.provenance["sha256"]
    other = provenance.made_from(replace(given, parameters=shipped | {"seed": 7}))
    assert other["changed"] == {"seed": {"shipped": "0", "value": "7"}}
    assert other["seed"] == 7
