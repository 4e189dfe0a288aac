"""The planted run, and the commands on it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import planted_run
from asked_commands import Found, Said
from neuron_atlas.commands.app import app
from neuron_atlas.model.language_model import LanguageModel
from once import once


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory: pytest.TempPathFactory, planted_model: LanguageModel) -> Path:
    """A repository in which the planted model was run; nothing in it may change."""

    def make(folder: Path) -> None:
        folder.mkdir()
        planted_run.make(folder, planted_model)

    return once(tmp_path_factory, "planted_run", make)


@pytest.fixture
def say(planted_folder: Path) -> Said:
    """Run a command on the planted run."""

    def run(*words: str, folder: Path | None = planted_folder, **variables: str) -> Result:
        where = ["--data", str(folder)] if folder else []
        return CliRunner().invoke(app, [*words, *where], env={"COLUMNS": "200"} | variables)

    return run


@pytest.fixture
def find(say: Said) -> Found:
    """Run a command that has to succeed, and return what it found."""

    def run(*words: str) -> dict[str, Any]:
        done = say(*words, "--json")
        assert done.exit_code == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run
