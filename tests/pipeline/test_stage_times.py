"""What a stage took is kept for the next run, and never in the way of one."""

from pathlib import Path

import pytest

from neuron_atlas.pipeline import stage_times


def test_the_last_time_is_kept(tmp_path: Path) -> None:
    assert stage_times.recorded(tmp_path) == {}
    stage_times.record("recall@fr", 40.0, tmp_path)
    stage_times.record("report", 2.5, tmp_path)
    stage_times.record("recall@fr", 41.25, tmp_path)
    assert stage_times.recorded(tmp_path) == {"recall@fr": 41.25, "report": 2.5}
    assert [path.name for path in tmp_path.iterdir()] == [stage_times.FILE]


def test_a_run_s_own_stages_are_told_from_earlier_ones(tmp_path: Path) -> None:
    for stage, seconds in (("a", 10.0), ("b", 30.0)):
        stage_times.record(stage, seconds, tmp_path, run="first")
    stage_times.record("a", 25.0, tmp_path, run="second")
    assert stage_times.of_run("first", tmp_path) == {"b": (30.0, None, "first")}
    assert stage_times.of_run("second", tmp_path) == {"a": (25.0, 10.0, "second")}
    assert stage_times.of_run("third", tmp_path) == {}


def test_what_is_planned_belongs_to_one_run(tmp_path: Path) -> None:
    stage_times.plan("first", {"a", "b"}, tmp_path)
    stage_times.record("a", 1.0, tmp_path, run="first")
    assert stage_times.planned("first", tmp_path) == {"a", "b"}
    assert stage_times.planned("second", tmp_path) == set()
    assert stage_times.recorded(tmp_path) == {"a": 1.0}


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"stages": 1}', '{"stages": {"a": {"seconds": "x"}, "b": 1}}']
)
def test_a_file_that_is_not_ours_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / stage_times.FILE).write_text(text)
    assert stage_times.recorded(tmp_path) == {}
    stage_times.record("a", 1.0, tmp_path)
    assert stage_times.recorded(tmp_path) == {"a": 1.0}


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stage_times.record("a", 1.0, tmp_path / "file")
    assert stage_times.recorded(tmp_path / "file") == {}
