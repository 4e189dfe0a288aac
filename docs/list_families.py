"""Try every law of the engine in every family; write docs/families.md: `make docs`.

The laws are the tests of `tests/test_family_laws.py`.
"""

import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import test_family_laws as laws
import test_family_pipelines as pipelines
import tiny
from neuron_atlas.model.families import REFUSED
from neuron_atlas.model.supported import PLAIN, ROPES, ROPES_BY_LENGTH

PAGE = Path(__file__).with_name("families.md")
Outcomes = Mapping[tuple[str, str], str]  # by name and law
MARKS = {"passed": "yes", "skipped": "–", "failed": "**no**"}
INTRODUCTION = """# Model families
A family is known by the `model_type` in a model's `config.json`. This page is made by `make docs`:
it runs the laws below on a tiny random model of each family, and of settings that take another path
through a family's code, and writes down which hold.
"""
BEFORE_TABLE = """
## The laws
The other side of each comparison is transformers' own network, one whole forward pass after
another. Numbers may differ by as much as another order of additions makes (`tests/rounding.py`).

"""
TABLE = """
## The report
Prompts are up to ten tokens long, and narrow windows three. `–`: the law is not about encoders.

"""
REST = """
The whole pipeline, from facts to page, runs on toy models of {always} in every run of the tests,
and of {others} with `NEURON_ATLAS_SLOW=1`.

## What is refused
Settings with which the numbers would be another model's are refused before any weights are read, by
one sentence that names each. Rotary embeddings may be {ropes}; of {by_length} only prompts within
the length that they were made for. A decoder may have sliding windows, in any layers. Otherwise:

| key of `config.json` | supported | because |
|---|---|---|
{plain}
Refused by name:
{refused}

## A family of your own
`CONTRIBUTING.md` says how to add a family here, or register it from a package of your own.
"""


def law_tests() -> dict[str, str]:
    """Return each law's test and what it says, in the order of the file."""
    found = inspect.getmembers(laws, inspect.isfunction)
    own = [(name, test) for name, test in found if name.startswith("test_")]
    own.sort(key=lambda pair: inspect.unwrap(pair[1]).__code__.co_firstlineno)
    return {name: inspect.cleandoc(test.__doc__ or "") for name, test in own}


class Collector:
    """What became of each test, by name and law."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a report; a failure before or after the test is one too."""
        law, _, name = report.nodeid.split("::")[-1].partition("[")
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[name.removesuffix("]"), law] = report.outcome


def tried() -> Outcomes:
    """Run the laws."""
    collector = Collector()
    pytest.main(["-q", "-p", "no:cacheprovider", str(laws.__file__)], plugins=[collector])
    return collector.outcomes


def read(text: str) -> Outcomes:
    """Return the outcomes that a page shows."""
    words = {mark: outcome for outcome, mark in MARKS.items()}
    rows = text.split(TABLE)[1].split("\n\n")[0].splitlines()[2:]
    found = {}
    for family, setting, *marks in (row.strip("| ").split(" | ") for row in rows):
        name = ", ".join(filter(None, (family.strip("`"), setting.strip())))
        found |= {(name, law): words[m] for law, m in zip(law_tests(), marks, strict=True)}
    return found


def page(outcomes: Outcomes) -> str:
    """Return the page that shows these outcomes."""
    numbers = range(1, len(law_tests()) + 1)
    listed = "".join(
        f"{i}. {text}\n" for i, text in zip(numbers, law_tests().values(), strict=True)
    )
    header = ["family", "setting", *map(str, numbers)]
    lines = [header, ["---", "---", *[":-:"] * len(numbers)]]
    for name in sorted(tiny.EVERY):
        family, _, setting = name.partition(", ")
        marks = [MARKS[outcomes[name, law]] for law in law_tests()]
        lines.append([f"`{family}`", setting, *marks])
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return INTRODUCTION + BEFORE_TABLE + listed + TABLE + table + _rest()


def _rest() -> str:
    plain = "".join(
        f"| `{rule.key}` | {' or '.join(map(str, rule.values)) or 'no such key'} | {rule.why} |\n"
        for rule in PLAIN
    )
    others = [name for name in pipelines.toy.OTHERS if name not in pipelines.ALWAYS]
    return REST.format(
        always=_named(["llama", "bert", *pipelines.ALWAYS]),
        others=_named(others),
        ropes=_named(ROPES),
        by_length=_named(ROPES_BY_LENGTH),
        plain=plain,
        refused="\n".join(
            f"* {_named(name for name in REFUSED if REFUSED[name] == reason)}: {reason}."
            for reason in dict.fromkeys(REFUSED.values())
        ),
    )


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    found = tried()
    PAGE.write_text(page(found), encoding="utf-8")
    failed = sorted(f"{law} of {name}" for (name, law), one in found.items() if one == "failed")
    sys.stdout.write(f"wrote {PAGE}\n" + "".join(f"failed: {one}\n" for one in failed))
    sys.exit(bool(failed))
