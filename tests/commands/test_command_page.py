"""docs/command-line.md has every command, option and JSON key, and no other."""

import json
import re
from importlib import import_module
from typing import Any

import list_commands
import pytest
import typer

import planted_run
from asked_commands import Said
from json_places import paths
from neuron_atlas.commands.app import app
from planted_run import address

TEXT = list_commands.PAGE.read_text(encoding="utf-8")
PROGRAM: Any = typer.main.get_command(app)
PROMPT = "xa_alpha_0 xa_s3 :"
LINES = {
    "facts": [("facts",)],
    "ask": [("ask", PROMPT)],
    "neurons": [("neurons", "--relation", "alpha", "--promotes", "x")],
    "neuron": [("neuron", address("first:alpha"))],
    "ablate": [("ablate", PROMPT, "--relation", "alpha", "--draws", "2")],
    "edit": [("edit", "alpha:s3", "--suppress", "--strongest", "1", "--draws", "2")],
    "verdicts": [("verdicts",)],
    "open": [("open", "--print")],
    "plan": [("plan", "--model-config", "llama-2-7b", "--facts", "308", "--languages", "6")],
}
ONLY_LINTED = {"labels", "with_tokenizer"}


def section(name: str) -> str:
    return TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_the_page_is_made_from_the_program() -> None:
    assert list_commands.page(list_commands.printed_on(TEXT)) == TEXT


def test_every_command_and_option_is_on_the_page() -> None:
    assert re.findall(r"^## (.+)$", TEXT, flags=re.M) == list(PROGRAM.commands)
    for name, command in PROGRAM.commands.items():
        for param in command.params:
            if param.param_type_name == "option":
                assert f"`{param.opts[0]}" in section(name)
                assert param.help, (name, param.name)


def test_every_command_says_what_it_printed() -> None:
    printed = list_commands.printed_on(TEXT)
    assert set(printed) == set(list_commands.EXAMPLES) == set(PROGRAM.commands)
    assert [name for name, found in printed.items() if not found] == []


@pytest.mark.parametrize("name", LINES)
def test_the_keys_are_those_of_the_output(say: Said, name: str) -> None:
    """What stands below a documented key is documented with it."""
    keys = set(import_module(PROGRAM.commands[name].callback.__module__).KEYS)
    found: set[str] = set()
    for words in LINES[name]:
        found |= set(paths(json.loads(say(*words, "--json").stdout)))
    assert keys - found - ONLY_LINTED == set()
    below = tuple(f"{key}{mark}" for key in keys for mark in (".", "["))
    above = {place for place in found if any(key.startswith(f"{place}[") for key in keys)}
    known = {place for place in found if place in keys or place.startswith(below)}
    assert {place for place in found if place.removesuffix("[]") not in above} - known == {""}


def test_the_run_of_the_tests_is_no_real_one() -> None:
    assert planted_run.HOSTILE not in TEXT
