"""The line of a run's progress counts what is to come, and forecasts at this run's rate."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from neuron_atlas.launching import forecast, progress
from neuron_atlas.pipeline import stage_times
from neuron_atlas.pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
DVC_YAML = """\
stages:
  ask:
    matrix:
      language: ${languages}
    cmd: python ask.py ${item.language}
    deps: [ask.py, lib]
    params: [ask]
    outs: ["data/ask/${item.language}"]
  join:
    cmd: python join.py
    deps: [join.py, data/ask]
    params: [languages]
    outs: [data/join]
  show:
    cmd: python show.py
    deps: [show.py, data/join]
    params: [languages]
    outs: [data/show]
"""
EVERY = {"ask@en", "ask@fr", "join", "show"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which every stage has run."""
    for name in ("ask.py", "join.py", "show.py", "lib/a.py", "lib/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"code of {name}")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text("languages: {en: {}, fr: {}}\nask: {k: 1}\n")
    for out in ("ask/en", "ask/fr", "join", "show"):
        (tmp_path / "data" / out).mkdir(parents=True)
    entries = {
        **{f"ask@{code}": entry(f"ask.py {code}", "lib", ask={"k": 1}) for code in ("en", "fr")},
        "join": entry("join.py", "data/ask", languages={"en": {}, "fr": {}}),
        "show": entry("show.py", "data/join", languages={"en": {}, "fr": {}}),
    }
    YAML().dump({"stages": entries}, tmp_path / "dvc.lock")
    return tmp_path


def entry(command: str, *deps: str, **params: object) -> dict[str, object]:
    """What dvc.lock says of a stage of this repository."""
    script, _, language = command.partition(" ")
    sizes = {script: len(f"code of {script}"), "lib": len("code of lib/a.py")}
    name = script.removesuffix(".py")
    return {
        "cmd": f"python {command}",
        "deps": [{"path": p, "md5": p, "size": sizes.get(p, 1)} for p in (script, *deps)],
        "params": {"params.yaml": params},
        "outs": [{"path": "/".join(filter(None, ("data", name, language))), "md5": f"data/{name}"}],
    }


def test_where_nothing_changed_the_readers_of_the_present_stage_remain(root: Path) -> None:
    assert forecast.to_run("show", [], root) == set()
    assert forecast.to_run("ask@fr", [], root) == {"join", "show"}
    assert forecast.to_run("join", ["ask@fr"], root) == {"show"}


def test_changes_are_seen(root: Path) -> None:
    (root / "lib/__pycache__/a.pyc").write_text("no code")
    assert forecast.to_run("show", [], root) == set()
    with (root / "lib/a.py").open("a") as code:
        code.write("# changed\n")
    assert forecast.to_run("ask@en", [], root) == {"ask@fr", "join", "show"}


def test_a_parameter_a_language_and_a_missing_result_are_seen(root: Path) -> None:
    (root / "params.yaml").write_text("languages: {en: {}, fr: {}}\nask: {k: 2}\n")
    assert forecast.to_run("ask@en", [], root) == {"ask@fr", "join", "show"}
    (root / "params.yaml").write_text("languages: {en: {}, fr: {}, it: {}}\nask: {k: 1}\n")
    assert forecast.to_run("ask@it", [], root) == {"join", "show"}
    (root / "params.yaml").write_text("languages: {en: {}, fr: {}}\nask: {k: 1}\n")
    shutil.rmtree(root / "data" / "ask" / "en")
    assert forecast.to_run("show", [], root) == {"ask@en", "join"}


def test_without_results_everything_is_to_come(root: Path) -> None:
    (root / "dvc.lock").unlink()
    assert forecast.to_run("ask@en", [], root) == EVERY - {"ask@en"}


def test_this_repository_is_understood() -> None:
    languages = read_yaml(ROOT / "params.yaml")["languages"]
    found = forecast.to_run("model", [], ROOT) | {"model"}
    assert {f"recall@{code}" for code in languages} | {"facts", "report"} <= found
    assert set(json.loads(progress.COSTS.read_text())) == set(
        read_yaml(ROOT / "dvc.yaml")["stages"]
    )


def test_the_line_counts_and_scales(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert progress.line("ask@en", "new") == "stage 1 of about 3, ask@en"  # no time is known
    for stage, seconds in (("ask@en", 100.0), ("ask@fr", 120.0), ("join", 60.0), ("show", 20.0)):
        stage_times.record(stage, seconds, run="old")
    said = progress.line("ask@en", "run")
    assert said == "stage 1 of about 3, ask@en; about 3 min left"
    stage_times.record("ask@en", 200.0, run="run")  # twice as slow as before
    assert progress.line("join", "run") == "stage 2 of about 3, join; about 3 min left"
    stage_times.record("join", 120.0, run="run")
    assert progress.line("show", "run") == "stage 3 of about 3, show; about 40 s left"


def test_a_first_run_says_whose_times_it_goes_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = progress.line("report", "run")
    assert said.startswith("stage 1 of about 1, report; about ")
    assert said.endswith(" s left on a machine like that of docs/performance.md")


def test_a_stage_that_was_not_expected_is_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert progress.line("ask@en", "run").startswith("stage 1 of about 3, ask@en")
    stage_times.record("ask@en", 1.0, run="run")
    assert progress.line("ask@fr", "run").startswith("stage 2 of about 4, ask@fr")


def test_the_launcher_starts_without_heavy_imports() -> None:
    program = (
        "import sys; import neuron_atlas.launching.launcher; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'pydantic', 'ruamel') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
