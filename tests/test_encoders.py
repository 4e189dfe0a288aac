"""The whole pipeline on a masked language model: `model.source` is all that is different."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from neuron_atlas.cards.reading import read_cards
from neuron_atlas.pipeline import store
from repository import LANGUAGES, ROOT, copied, run, stages

PARTS: dict[str, set[str]] = {  # of metrics/summary.json that each stage measures
    "model": {"model"},
    "check": set(),
    "check_model": set(),
    "facts": {"facts"},
    "answers": set(),
    "recall": set(),
    "consistency": set(),
    "activations": set(),
    "relation_neurons": {"relation_neurons"},
    "interference": {
        *("interference", "contrasts", "flips", "texts", "cumulativity", "normaliser"),
    },
    "sufficiency": set(),
    "other_selectors": {"selectors"},
    "transfer": {"transfer"},
    "effects": set(),
    "attributions": {"attribution"},
    "attribution_methods": {"attribution_methods"},
    "selection": {"selection"},
    "language_neurons": {"language_neurons"},
    "language_specific": {"language_specific"},
    "degenerate_neurons": {"degenerate", "fact_checking"},
    "editing": {"editing", "functional_sharing"},
    "knowledge": set(),
    "cards": set(),
    "report": {"schema", "verdicts"},
}
CLAIMS = {  # about what each stage measures
    "interference": {
        "relation_neurons_exist",
        "cumulativity",
        "versatility_relations",
        "interference",
    },
    "sufficiency": {"relation_neurons_suffice"},
    "other_selectors": {"average_precision_beats_other_selectors"},
    "transfer": {"versatility_languages"},
    "selection": {"amig_beats_baselines"},
    "language_neurons": {"language_independent_neurons_exist"},
    "language_specific": {"language_specific_neurons_exist"},
    "degenerate_neurons": {"degenerate_neurons_exist", "degenerate_neurons_help_fact_checking"},
    "editing": {"cross_lingual_editing"},
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, toy_encoder_folder: Path) -> Path:
    folder = copied(tmp_path_factory.mktemp("repository"), toy_encoder_folder)
    run(folder, "dvc", "repro")
    return folder


@pytest.fixture(scope="module")
def summary(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = store.read_json(repository / "metrics" / "summary.json")
    return found


def owed(table: Mapping[str, set[str]]) -> set[str]:
    return set().union(*(table.get(stage, set()) for stage in stages(ROOT, "dvc.yaml")))


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from numbers(entry)
    elif isinstance(value, int | float):
        yield float(value)


def test_every_stage_runs_and_stays_idle(repository: Path) -> None:
    assert stages(repository, "dvc.lock") == stages(repository, "dvc.yaml")
    assert json.loads(run(repository, "dvc", "status", "--json")) == {}


def test_it_is_known_what_every_stage_owes_the_summary() -> None:
    assert stages(ROOT, "dvc.yaml") <= set(PARTS)


def test_every_part_of_the_summary_is_there(summary: dict[str, Any]) -> None:
    assert set(summary) == owed(PARTS)
    assert set(summary["verdicts"]) == owed(CLAIMS)
    assert summary["texts"] == {}  # an encoder writes none
    measured = {part: list(numbers(summary[part])) for part in owed(PARTS) - {"texts"}}
    assert all(found and all(map(isfinite, found)) for found in measured.values())


def test_it_is_an_encoder_that_knows_its_facts(repository: Path, summary: dict[str, Any]) -> None:
    provenance = store.read_json(repository / "data" / "model" / "provenance.json")
    assert provenance["architecture"]["encoder"]
    assert summary["model"]["architecture"] == "bert"
    for code in LANGUAGES:
        known = summary["facts"]["by_language"][code]
        assert known["typed_accuracy"] > 1.5 * known["majority_baseline"]  # it was trained on them


def test_its_neurons_have_cards(repository: Path) -> None:
    """What they write goes through the layers before the head, which only an encoder has."""
    cards = read_cards(repository / "data" / "cards")
    assert set(cards.tokens["neuron"]) == set(cards.neurons["neuron"])
    assert isfinite(cards.tokens["logit"].sum())
    assert cards.relations["auc"].between(0, 1).all()
    assert not cards.prompts["prompt"].str.contains("{object}", regex=False).any()
    alone = cards.effects[cards.effects["measured_by"] == "cards"]
    assert 0 < alone["effect"].abs().max() < 5


def test_its_neurons_act_and_controls_push_as_hard(
    repository: Path, summary: dict[str, Any]
) -> None:
    """Values read at the mask and edits made there: a wrong position would show here."""
    for code in LANGUAGES:
        rows = store.read_table(repository / "data" / "interference" / f"{code}.parquet")
        own = rows[(rows["kind"] == "set") & (rows["relation"] == rows["measured"])]
        assert own["effect"].abs().max() > 0.02
    found = summary["contrasts"]["all"]["push_matched"]["effect"]
    assert found["push"] > 0
    assert found["push_random"] == pytest.approx(found["push"], rel=0.1)
    if "attribution" in summary:
        assert summary["attribution"]["completeness_median"] < 0.01
