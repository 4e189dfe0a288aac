"""The committed figures of docs/costs.md: what was counted, what the formulas say, how far off."""

import json
from typing import Any

import list_costs
import pytest

import selecting
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
    found = selecting.scoring(240, 64, 2)()
    assert found.relations.score.shape == (2, 1, 64)
    assert len(selecting.AXES) == 3
    assert all(len(axis.sizes) == 3 for axis in selecting.AXES)
