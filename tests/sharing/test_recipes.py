"""The tutorial, the recipes for clusters and the example workflow do what their pages say."""

import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import remotes
from recipes import DOCS, as_set_up, blocks
from remotes import connect_as
from repository import Clone, cloned, ran, run, tried

WORKFLOW = DOCS / "examples" / "results.yml"
RESULTS = "git", "commit", "-q", "-a", "--allow-empty", "-m"


def shell(folder: Path, script: str, **variables: str) -> str:
    """Run a script as a terminal would, stopping at the first command that fails."""
    done = tried(folder, "bash", "-e", "-c", script, **variables)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout


# The tutorial.


@pytest.fixture(scope="module")
def told(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each block of the tutorial prints, in a clone with a finished run, and what is left."""
    place = tmp_path_factory.mktemp("tutorial")
    folder = as_set_up(cloned(origin, place / "clone", cache="own"))
    printed = {}
    for block in blocks("tutorial.md"):
        if block.why is None:
            python = f".venv/bin/python - <<'END'\n{block.code}END\n"
            program = block.code if block.kind == "sh" else python
            printed[block.code] = shell(folder, program, COLUMNS="200")
    printed["left"] = run(folder, "git", "status", "--porcelain")
    return printed


def printed(told: dict[str, str], part: str) -> str:
    """What the block prints that has some text in it."""
    (found,) = (text for code, text in told.items() if part in code)
    return found


def test_all_of_the_tutorial_runs_but_what_makes_the_place(told: dict[str, str]) -> None:
    every = blocks("tutorial.md")
    left_out = [block for block in every if block.why is not None]
    assert [block.code.splitlines()[-1] for block in left_out] == ["make setup", "make quick"]
    assert len(told) == len(every) - len(left_out) + 1 >= 11


def test_a_second_run_runs_nothing(told: dict[str, str]) -> None:
    assert not ran(printed(told, "make repro"))


def test_the_tutorial_shows_what_it_says(told: dict[str, str]) -> None:
    """The toy model's relations have too few facts each for a row of their own."""
    assert "untestable" in printed(told, "neuron-atlas verdicts")
    assert "capital" in printed(told, "neuron-atlas neurons")
    assert "held_out_ap" in printed(told, "sets.parquet")
    assert "excess" in printed(told, "cells.parquet")
    by_hand = printed(told, "import neuron_atlas as na").splitlines()
    assert [line.rpartition("[")[0].strip() for line in by_hand] == [
        "as it is",
        "without its neurons",
        *["without random ones"] * 3,
    ]
    assert "Paris" in printed(told, "neuron-atlas ablate")


def test_an_experiment_runs_what_depends_on_it_and_is_put_back(told: dict[str, str]) -> None:
    assert "effects" in printed(told, "make plan")
    strict = printed(told, "-n strict")
    assert {"effects", "report"} <= ran(strict) <= {"check", "effects", "report"}
    assert "effects.negligible" in strict
    assert told["left"] == ""


# Clusters.


def test_languages_that_other_jobs_ran_are_found(
    origin: Path, clone: Clone, tmp_path: Path
) -> None:
    """The recipe for one job per language, with a change that asks all facts again."""
    remote = remotes.local(tmp_path / "remote")
    first = remote.connect(cloned(origin, tmp_path / "first", cache="own"))
    run(first, "dvc", "push", "--run-cache")
    last = connect_as(first, clone("last"))
    job = connect_as(first, clone("job"))
    for folder in (job, last):
        yaml = YAML()
        values = yaml.load(folder / "params.yaml")
        values["recall"]["exact_ranks"] = 3
        yaml.dump(values, folder / "params.yaml")
    (recipe,) = [b.code for b in blocks("howto/cluster.md") if "@fr" in b.code]
    cells = {"answers@fr", "recall@fr", "activations@fr", "attributions@fr"}
    assert cells <= ran(shell(job, recipe.replace(".venv/bin/", "")))
    run(last, "dvc", "pull", "--run-cache")
    again = ran(run(last, "dvc", "repro", "--pull"))
    assert not again & cells
    assert "answers@en" in again


# The workflow.


def step(name: str) -> str:
    """Return the commands of one step of the workflow's first job."""
    steps = YAML(typ="safe").load(WORKFLOW)["jobs"]["reproduce"]["steps"]
    return next(str(one["run"]) for one in steps if one.get("name") == name)


def comment(folder: Path, tmp_path: Path) -> str:
    """Do what the workflow does after its set-up, and return what it says."""
    base = run(folder, "git", "rev-parse", "--abbrev-ref", "origin/HEAD").strip()
    variables = {
        "AWS_ACCESS_KEY_ID": "for the condition alone",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "BASE": base,
    }
    for name in ("Pull", "Reproduce", "Say what changed"):
        shell(folder, f"set -o pipefail\n{step(name)}", **variables)
    said = (folder / "comment.md").read_text(encoding="utf-8")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").endswith(said)
    return said


@pytest.fixture
def pull_request(origin: Path, clone: Clone, tmp_path: Path) -> Path:
    """A fresh clone whose results can be pulled."""
    remote = remotes.local(tmp_path / "remote")
    first = remote.connect(cloned(origin, tmp_path / "first", cache="own"))
    run(first, "dvc", "push", "--run-cache")
    return connect_as(first, clone("pull_request"))


def test_the_workflow_runs_nothing_if_nothing_changed(pull_request: Path, tmp_path: Path) -> None:
    said = comment(pull_request, tmp_path)
    assert "Nothing ran: the results that are committed are those of this code." in said


def test_the_workflow_says_what_a_change_did(pull_request: Path, tmp_path: Path) -> None:
    yaml = YAML()
    values = yaml.load(pull_request / "params.yaml")
    values["effects"]["negligible"] = 0.07
    yaml.dump(values, pull_request / "params.yaml")
    run(pull_request, *RESULTS, "Call less negligible")
    said = comment(pull_request, tmp_path)
    assert "effects.negligible" in said
    listed = said.partition("Run here, because no result of them was found:")[2]
    assert {line.removeprefix("* ") for line in listed.split("\n") if line.startswith("* ")} == {
        *("check", "effects", "report")
    }


def test_the_shell_stops_where_a_command_fails(tmp_path: Path) -> None:
    """The positive control of the above."""
    with pytest.raises(AssertionError):
        shell(tmp_path, "false\ntrue", PATH=os.environ["PATH"])
