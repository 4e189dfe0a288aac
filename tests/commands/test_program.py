"""The program as a shell starts it: quick to help, completed, quiet when nobody reads on."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuron_atlas.commands.app import app
from repository import environment

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = {"torch", "pandas", "numpy", "transformers", "dvc", "pydantic", "pyarrow", "tyro", "scipy"}
START = [sys.executable, "-m", "neuron_atlas"]


def ran(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*START, *words],
        env=environment(**variables) | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_loads_nothing_heavy() -> None:
    """Time depends on the machine; what is imported does not."""
    code = "import sys; import neuron_atlas.commands.app; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=environment() | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in shown.stdout.split()}
    assert "rich" in loaded
    assert not loaded & HEAVY


def test_the_module_is_the_script() -> None:
    assert PROJECT["scripts"] == {"neuron-atlas": "neuron_atlas.commands.app:app"}
    shown = ran("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: neuron-atlas ")
    assert all(
        f"  {command.name}" in shown.stdout for command in app.registered_commands if command.name
    )


def test_without_a_command_the_commands_are_listed() -> None:
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 2
    assert "ablate" in shown.output


def test_the_version_is_the_project_s() -> None:
    shown = CliRunner().invoke(app, ["--version"]).stdout
    assert shown == f"neuron-atlas {PROJECT['version']}\n"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("neurons --data {run} --relation al", {"alpha"}),
        ("ablate --data {run} --relation ", {"alpha", "beta", "gamma", "delta", "epsilon"}),
        ("neurons --data {run} --language x", {"xa", "xb"}),
        ("edit --data {run} alpha:s1", {f"alpha:s1{i}" for i in ("", *range(10))}),
        ("verdicts --data {run} rel", {"relation_neurons_exist"}),
        ("neurons --data /nowhere --relation al", set()),
        ("ver", {"verdicts"}),
        ("export --format h", {"hf"}),
    ],
)
def test_a_shell_completes(planted_folder: Path, line: str, offered: set[str]) -> None:
    words = f"neuron-atlas {line}".format(run=planted_folder)
    shown = ran(
        _NEURON_ATLAS_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert shown.returncode == 0, shown.stderr
    assert set(shown.stdout.split()) == offered
    assert shown.stderr == ""


def test_who_reads_no_further_sees_no_traceback(planted_folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*START, "verdicts", "--data", str(planted_folder)],
        env=environment() | {"PYTHONPATH": str(ROOT / "src")},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def test_what_an_output_cannot_encode_is_escaped(planted_folder: Path) -> None:
    shown = ran("neurons", "--data", str(planted_folder), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii()
    assert r"\u2423Paris" in shown.stdout
