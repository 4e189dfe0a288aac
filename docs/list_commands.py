"""Write every command and option, and what each prints, into docs/command-line.md: `make docs`.

Options and JSON keys come from the app. What a command prints comes from the run in this repository
or in the one that is named (`python docs/list_commands.py FOLDER`); of a command for which a part
of the run is missing, what the page has stays.
"""

import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from neuron_atlas.commands.app import app

RUN = Path(sys.argv[1] if __name__ == "__main__" and sys.argv[1:] else Path(__file__).parents[1])
PAGE = Path(__file__).with_name("command-line.md")
PROGRAM = "neuron-atlas"
WIDTH = "100"  # columns of what is pasted
BAR = "\\|"  # in a table
ELSEWHERE = "/path/to/repository"  # in place of this machine's
Printed = Mapping[str, Sequence[tuple[str, str]]]  # by command, its examples and what they print


def _neuron() -> str:
    """Return a neuron of this run: the best one for capitals."""
    found = json.loads(_printed("neurons --relation capital --top 1 --json"))
    return str(found["neurons"][0]["address"])


def _edits() -> list[str]:
    """Return edits of the first fact of this run that has neurons of its own."""
    of_facts = "neurons --kind fact --relation capital --language en --top 1 --json"
    fact = json.loads(_printed(of_facts))["neurons"][0]["name"]
    asked = json.loads(_printed(f"edit {fact} --language en --suppress --draws 2 --json"))
    right = asked["prompts"][0]["answers"][0]["answer"]
    new = "Rome" if right == "Paris" else "Paris"
    return [f"edit {fact} --language en --suppress", f"edit {fact} --language en --to {new}"]


PROMPT = '"The capital of France is"'
EXAMPLES: Mapping[str, Callable[[], list[str]]] = {
    "facts": lambda: ["facts --language zh"],
    "ask": lambda: [f"ask {PROMPT} --candidates Paris,Rome", f"ask {PROMPT} --top 5"],
    "neurons": lambda: [
        "neurons --relation capital --language zh --top 5",
        "neurons --promotes Paris --top 5",
    ],
    "neuron": lambda: [f"neuron {_neuron()} --rows 3"],
    "ablate": lambda: [
        f"ablate --relation capital {PROMPT} --candidates Paris,Rome",
        f"ablate --neurons {_neuron()} {PROMPT} --top 3",
    ],
    "edit": _edits,
    "verdicts": lambda: ["verdicts", "verdicts relation_neurons_exist"],
    "compare": lambda: ["compare HEAD workspace"],
    "export": lambda: ["export --format hf --out atlas"],
    "open": lambda: ["open --print"],
    "plan": lambda: [
        "plan --model-config llama-2-70b --facts 308 --languages 6 --device h100 --gpus 8"
    ],
}
INTRODUCTION = """# The command line
`make setup` installs `.venv/bin/neuron-atlas`; `python -m neuron_atlas` is the same. It reads the
outputs of the pipeline in the repository that the present folder is in, or in that of `--data`.
What is missing is said with the stage that makes it. `make docs` makes this page from the program
and from the default run.

* `--json` prints JSON and nothing else to standard output. Its keys are listed below; more may be
  added, none is renamed. A number that is not known is `null`. Log-probabilities and effects are in
  nats.
* Standard output has the result alone, with colours only on a terminal and none if `NO_COLOR` is
  set. In a pipe no line is folded, unless `COLUMNS` says how wide it may be.
* Labels, tokens and prompts are printed as text: what would steer a terminal is shown by its code,
  such as `\\x1b`.
* `neuron-atlas --install-completion` teaches your shell to complete commands, options, and the
  relations, languages, facts and claims of the run.

| status | meaning |
|--:|---|
| 0 | done |
| 1 | an error of the input, or missing data: one line on standard error |
| 2 | the command line is wrong |
| 130 | interrupted |
"""


def page(printed: Printed) -> str:
    """Return the page.

    Args:
        printed: Of each command, its examples and what they printed; perhaps none.
    """
    program: Any = typer.main.get_command(app)
    parts = [INTRODUCTION, "\n", _table(program)]
    for name, command in program.commands.items():
        parts += [f"\n## {name}\n", _help(command), _table(command), _keys(command)]
        parts += [f"\n```\n$ {PROGRAM} {line}\n{text}```\n" for line, text in printed.get(name, ())]
    return "".join(parts)


def _help(command: Any) -> str:
    """Return what a command does; its example stands below with what it prints."""
    said = re.sub(r"\n+For example: .*", "", command.help.strip())
    return "\n\n".join(" ".join(part.split()) for part in said.split("\n\n")) + "\n\n"


def _table(command: Any) -> str:
    context = command.make_context(PROGRAM, [], resilient_parsing=True)
    rows = "".join(f"| {' | '.join(_row(param, context))} |\n" for param in command.params)
    return f"| option | by default | meaning |\n|---|---|---|\n{rows}"


def _row(param: Any, context: Any) -> Iterator[str]:
    """Yield how an option is written, what it is without it, and what it means."""
    option = param.param_type_name == "option"
    written = param.get_help_record(context)[0] if option else param.metavar or param.name.upper()
    yield f"`{written.replace('|', BAR)}`"
    given = param.default is not None and param.default is not False and not param.required
    yield f"`{param.default}`" if given else "needed" if param.required else ""
    yield " ".join((param.help or "").split())


def _keys(command: Any) -> str:
    """Return what `--json` prints: the keys of the command's module."""
    keys: Mapping[str, str] = import_module(command.callback.__module__).KEYS
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in keys.items())
    return f"\n| key of `--json` | meaning |\n|---|---|\n{rows}"


def printed_on(text: str) -> Printed:
    """Return the examples of a page."""
    block = rf"^```\n\$ {PROGRAM} (.+)\n((?:.*\n)*?)```$"
    sections = re.split(r"^## (.+)\n", text, flags=re.M)[1:]
    return {
        name: re.findall(block, part, flags=re.M)
        for name, part in zip(sections[::2], sections[1::2], strict=True)
    }


def printed_now(before: Printed) -> Printed:
    """Run every example on the data here; of a command that cannot be run the old ones stay."""
    found = {}
    for name, make in EXAMPLES.items():
        try:
            found[name] = [(line, _printed(line)) for line in make()]
        except ValueError as error:
            sys.stderr.write(f"{name} stays as it was: {error}\n")
            found[name] = list(before.get(name, ()))
    return found


def _printed(line: str) -> str:
    """Return what a line prints, the same on every machine.

    Raises:
        ValueError: the command failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        words = [f"{scratch}/atlas" if word == "atlas" else word for word in shlex.split(line)]
        done = CliRunner().invoke(
            app, [*words, "--data", str(RUN.resolve())], env={"COLUMNS": WIDTH, "NO_COLOR": "1"}
        )
    if done.exit_code != 0:
        raise ValueError(done.stderr.strip() or repr(done.exception))
    text = done.stdout.replace(f"{scratch}/", "").replace(str(RUN.resolve()), ELSEWHERE)
    return "".join(f"{row.rstrip()}\n" for row in text.splitlines())


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(printed_now(printed_on(old))), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
