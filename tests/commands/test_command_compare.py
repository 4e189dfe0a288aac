"""The command `compare`, and the warnings of commands that show what is another run's."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from json_places import paths
from neuron_atlas.commands import compare
from neuron_atlas.commands.app import app
from once import once
from repository import run
from small_pipeline import made, restored

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's
NAME = '<img>&"$(touch${IFS}pwned)'
NEW = "another run: stopped before"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        made(folder)
        larger = ("-n", "larger", "-S", "relation_neurons.k=5")
        run(folder, "dvc", "exp", "run", "-q", *larger)
        restored(folder)
        run(folder, "dvc", "exp", "run", "-q", "-n", NAME, "-S", "cells.spread=1.0", "cells@en")
        restored(folder)

    return once(tmp_path_factory, "small_pipeline_of_commands", make)


def say(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--data", str(folder)], env={"COLUMNS": "120"})


def test_people_and_programs_are_told_the_same_and_a_page_is_written(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "c.html"
    shown = say(folder, "compare", "HEAD", "larger", NAME, "--page", str(out))
    assert shown.exit_code == 0, shown.stderr
    assert f"from {NEW}" in shown.stdout
    assert "beyond by" in shown.stdout
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 120
    page = out.read_text(encoding="utf-8")
    assert f"from {NEW} cells@fr" in page
    assert "<img>" not in page
    found = json.loads(say(folder, "compare", "HEAD", "larger", "--json").stdout)
    assert (found["reference"], found["page"]) == ("HEAD", str(folder / "report/compare.html"))
    assert found["claims"]["interference"]["changes"][1]["size"] == "beyond"


def test_without_names_it_is_all_that_was_made_from_the_commit(folder: Path) -> None:
    found = json.loads(say(folder, "compare", "--json").stdout)
    assert {one["name"]: one["own"] for one in found["runs"]} == {
        **{"HEAD": True, "larger": True, NAME: False}
    }


def test_every_key_is_documented(folder: Path) -> None:
    found: Any = json.loads(say(folder, "compare", "--json").stdout)
    given = set(paths(found))
    top = {place.partition(".")[0].partition("[")[0] for place in given} - {""}
    assert {key.partition(".")[0].partition("[")[0] for key in compare.KEYS} == top
    assert {key for key in compare.KEYS if key not in given} == set()
    of_lists = {p for p in given if p.startswith(("runs[].", "sets[]."))}
    assert {p.split("[]")[1].split(".")[1] for p in of_lists} == {
        key.split(".")[1] for key in compare.KEYS if "[]." in key
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("HEAD", "nothing"), "error: the run 'nothing' is not known"),
        (("HEAD",), "error: expected two or more runs"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = say(folder, "compare", *words)
    assert done.exit_code == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["verdicts", "open"])
def test_another_runs_results_are_warned_of_and_own_ones_are_not(
    folder: Path, tmp_path: Path, command: str
) -> None:
    words = (command, "--print") if command == "open" else (command,)
    if command == "verdicts":
        summary = json.loads((folder / "metrics/summary.json").read_text())
        assert summary["verdicts"]
    own = say(folder, *words, "--json")
    assert (own.stderr, json.loads(own.stdout)["whose"]) == ("", "its own")
    stale = Path(shutil.copytree(folder, tmp_path / "stale", symlinks=True))
    params = stale / "params.yaml"
    params.write_text(params.read_text().replace("k: 3", "k: 4"))
    warned = say(stale, *words, "--json")
    assert warned.stderr.startswith(f"warning: these results are from {NEW} relation_neurons")
    assert NEW in json.loads(warned.stdout)["whose"]
    shutil.rmtree(stale / ".dvc")
    unknown = say(stale, *words, "--json")
    assert (unknown.stderr, json.loads(unknown.stdout)["whose"]) == ("", None)
