"""The committed figures of docs/costs.md: what was counted, what the formulas say, how far off."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import list_costs
import pytest

import selecting
from growth import Axis
from neuron_atlas.detectors import probe
from neuron_atlas.detectors.block_precision import MANY
from repository import ROOT

SIZES: list[dict[str, Any]] = json.loads((ROOT / "benchmarks/costs.json").read_text("utf-8"))
WITHIN = 0.3  # of what was counted, over a run


def test_the_page_has_the_tables_of_the_present_formulas_and_figures() -> None:
    text = list_costs.PAGE.read_text(encoding="utf-8")
    assert list_costs.page(text) == text


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="expected <!-- models"):
        list_costs.page("nothing")


@pytest.mark.parametrize("one", SIZES, ids=lambda one: str(one["size"]))
def test_a_run_is_estimated_within_three_tenths(one: dict[str, Any]) -> None:
    assert abs(one["error"]) <= WITHIN
    assert one["error"] == pytest.approx(one["estimated"] / one["counted"] - 1, abs=1e-3)
    assert one["counted"] == sum(row["counted"] for row in one["stages"])


def test_runs_of_three_sizes_were_counted() -> None:
    counted = [one["counted"] for one in SIZES]
    assert len(counted) == 3
    assert counted == sorted(counted)
    assert counted[-1] > 5 * counted[0]


@pytest.mark.parametrize("one", SIZES, ids=lambda one: str(one["size"]))
def test_the_estimates_are_those_of_the_present_formulas(one: dict[str, Any]) -> None:
    assert list_costs.estimated(one) == {row["stage"]: row["estimated"] for row in one["stages"]}


def test_what_grows_is_the_stage_s_own_scoring() -> None:
    with mock.patch.object(probe, "weights", side_effect=AssertionError("the probe is timed")):
        found = selecting.scoring(240, 64, 2)()
    assert found.relations.score.shape == (2, 1, 64)
    assert len(selecting.AXES) == 3
    assert all(len(axis.sizes) == 3 for axis in selecting.AXES)


@pytest.mark.parametrize("axis", selecting.AXES, ids=lambda axis: axis.name)
def test_one_algorithm_ranks_at_all_sizes_of_an_axis(axis: Axis) -> None:
    made = []
    with mock.patch.object(selecting, "scoring", side_effect=lambda *sizes: made.append(sizes)):
        for size in axis.sizes:
            axis.make(size)
    own = [prompts // (relations * 6) for prompts, _, relations in made]
    assert len({n >= MANY for n in own}) == 1


def test_the_page_has_the_growth_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_costs, "FIGURES", tmp_path)
    assert "Not measured yet" in list_costs.selecting()
    row: dict[str, Any] = {"axis": "prompts", "work": "scoring", "sizes": [12_000, 24_000]}
    row |= {"seconds": [1.0, 2.1], "exponent": 1.07}
    (tmp_path / "selecting.json").write_text(json.dumps([row]), encoding="utf-8")
    assert "| prompts | scoring | 12,000, 24,000 | 1, 2.1 | 1.07 |" in list_costs.selecting()
