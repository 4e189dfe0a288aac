"""An experiment runs on the edited file, also if only `dvc add` knows the file before its edit."""

import subprocess
from pathlib import Path

import pytest

from repository import run

STAGES = """stages:
  read:
    cmd: python -c "import shutil; shutil.copy('data/raw/my.jsonl', 'out.txt')"
    params: [p]
    deps: [data/raw/my.jsonl]
    outs: [{out.txt: {cache: false}}]
"""
ALONE = {"DVC_NO_ANALYTICS": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q", **ALONE)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/my.jsonl").write_text("before")
    run(tmp_path, "dvc", "add", "-q", "data/raw/my.jsonl", **ALONE)
    (tmp_path / "params.yaml").write_text("p: 1\n")
    (tmp_path / "dvc.yaml").write_text(STAGES)
    run(tmp_path, "dvc", "repro", "-q", **ALONE)
    run(tmp_path, "git", "add", "-A")
    run(tmp_path, "git", "commit", "-q", "-m", "x")
    return tmp_path


def result(folder: Path, name: str) -> str:
    found = run(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
    reference = next(line for line in found.splitlines() if line.endswith(f"/{name}"))
    shown = subprocess.run(
        ["git", "show", f"{reference}:out.txt"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout


@pytest.mark.parametrize("how", [["--temp"], []], ids=["apart", "here"])
def test_an_experiment_has_the_edited_file(folder: Path, how: list[str]) -> None:
    (folder / "data/raw/my.jsonl").write_text("edited")
    run(folder, "dvc", "exp", "run", *how, "-S", "p=2", "-n", "now", **ALONE)
    assert result(folder, "now") == "edited"
