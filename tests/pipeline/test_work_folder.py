"""What a stage left unfinished is told from what it keeps for a later run."""

from pathlib import Path

import pytest

from neuron_atlas.launching import dvc_run, launcher
from neuron_atlas.pipeline import checkpoints, stage_times, work_folder


def test_kept_results_and_files_beside_them_are_not_unfinished(tmp_path: Path) -> None:
    for name in ("recall fr-1/000000-32-32.parquet", "transfer en-2/whole", "stage_times.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert work_folder.unfinished(tmp_path) == {"recall fr-1"}
    (tmp_path / "transfer en-2" / "000000-8-8.parquet").touch()
    assert work_folder.unfinished(tmp_path) == {"recall fr-1", "transfer en-2"}
    assert work_folder.unfinished(tmp_path / "absent") == set()


@pytest.mark.parametrize(("file", "resumed"), [("000000-32-32.parquet", True), ("whole", False)])
def test_only_a_resumed_stage_keeps_its_longer_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, resumed: bool
) -> None:
    """A stage that only drops an old kept result has not gone on where a killed one stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(dvc_run.STAGE, "ask")
    stage_times.record("ask", 1000.0)
    old = work_folder.FOLDER / "ask en-1"
    old.mkdir()
    (old / file).touch()
    with launcher._recorded(None):
        checkpoints.done(old.name)
    assert (stage_times.recorded()["ask"] == 1000.0) == resumed
