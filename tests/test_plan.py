"""The forecast of a run: reasons, times and what a change of parameters would be refused for.

Which stages it names is compared with what DVC runs in test_pipeline.py.
"""

from pathlib import Path

import pytest
from dvc.exceptions import DvcException

import plan
from neuron_atlas.pipeline import params

ROOT = Path(__file__).parents[1]
LANGUAGES = frozenset({"en", "fr"})


def test_a_stage_that_was_never_timed_is_estimated_by_its_other_languages() -> None:
    reruns = {
        name: plan.Rerun("x", LANGUAGES) for name in ("recall@en", "recall@it", "report", "check")
    }
    seconds = {"recall@en": 10.0, "recall@fr": 20.0, "check": 0.5, "transfer": 99.0}
    lines = [line.split() for line in plan.table(reruns, seconds, 48)]
    assert lines[0][:3] == ["recall@en", "10.0", "s"]
    assert lines[1][:3] == ["recall@it", "~15.0", "s"]
    assert lines[2][:2] == ["report", "?"]
    last = " ".join(lines[-1])
    assert last == "at most 4 of 48 stages would run: 26 s when they last ran, and 1 never timed"


def test_nothing_to_run_is_said() -> None:
    assert list(plan.table({}, {}, 48)) == ["at most 0 of 48 stages would run"]


@pytest.mark.parametrize(
    ("dep", "out", "extent", "expected"),
    [
        ("/d/facts", "/d/facts", {"fr"}, {"fr"}),
        ("/d/facts/en.parquet", "/d/facts", {"fr"}, None),
        ("/d/facts/fr.parquet", "/d/facts", {"fr"}, {"fr"}),
        ("/d/sets/fr", "/d/sets", {"en", "fr"}, {"fr"}),
        ("/d/model/provenance.json", "/d/model", {"en"}, {"en"}),
        ("/d/recall", "/d/recall/fr.parquet", {"fr"}, {"fr"}),
        ("/d/recall", "/d/recalled", {"fr"}, None),
    ],
)
def test_a_language_s_part_changes_with_its_language_alone(
    dep: str, out: str, extent: set[str], expected: set[str] | None
) -> None:
    found = plan._reached(dep, out, frozenset(extent), LANGUAGES)
    assert found == (None if expected is None else frozenset(expected))


def test_what_dvc_says_of_parameters_is_left_to_the_changed_file() -> None:
    status = {
        "a": [{"changed deps": {"params.yaml": {"a.k": "modified"}}}],
        "../dvc.yaml:b": [
            "changed command",
            {"changed deps": {"params.yaml": "new", "src/x": "modified"}},
        ],
    }
    assert plan.differences(status) == {"b": ["changed command", "src/x modified"]}


def test_a_value_that_would_be_refused_is_named() -> None:
    with pytest.raises(ValueError, match=r"relation_neurons\.k: .* accepted: whole number from 1"):
        plan.main(["relation_neurons.k=bad"], ROOT)
    with pytest.raises(DvcException, match="Invalid"):
        plan.main(["relation_neurons.q=1"], ROOT)
    assert params.read_yaml(ROOT / "params.yaml")["relation_neurons"]["k"] != "bad"
