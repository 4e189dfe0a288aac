"""Try every law of the engine in every family; write docs/families.md: `make docs`.

The laws are the tests of `tests/test_family_laws.py`.
"""

import inspect
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import test_family_laws as laws
import test_family_pipelines as pipelines
import tiny
from neuron_atlas.model.families import REFUSED
from neuron_atlas.model.supported import KINDS, PLAIN, ROPES, ROPES_BY_LENGTH

PAGE = Path(__file__).with_name("families.md")
ROOT = PAGE.parents[1]
Outcomes = Mapping[tuple[str, str], str]  # by name and law
MARKS = {"passed": "yes", "skipped": "–", "failed": "**no**"}
INTRODUCTION = """# Model families
A family is known by the `model_type` in a model's `config.json`. This page is made by `make docs`:
it runs the laws below on a tiny random model of each family, and of settings that take another path
through a family's code, and writes down which hold. Of published models only those of
[the results](results.md) and [the replication](replication.md) were run.
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
PIPELINES = """The whole pipeline, from facts to page, runs on toy models of {always} in every run
of the tests, and of {others} with `NEURON_ATLAS_SLOW=1`."""
ROTARY = """Settings with which the numbers would be another model's are refused before any weights
are read, by one sentence that names each. Rotary embeddings may be {ropes}; with {by_length} only
prompts within the length that they were made for are asked, and a longer one is refused. So is a
prompt that is longer than a model's table of positions. A decoder may have sliding windows, in any
layers. Otherwise:"""
BESIDES = """So are `layer_types` other than {kinds}, `alibi` in a family whose row has no biases,
an encoder with `is_decoder`, and BLOOM's `slow_but_exact` with `pretraining_tp` above 1."""
REST = """
{pipelines}

## What is refused
{rotary}

| key of `config.json` | supported | because |
|---|---|---|
{plain}
{besides}

Refused by name:

{refused}

## A family of your own
[Contributing](../CONTRIBUTING.md#a-new-model-family) says how to add a family here, or register it
from a package of your own.
"""


def law_tests() -> dict[str, str]:
    """Return each law's test and what it says, in the order of the file."""
    found = inspect.getmembers(laws, inspect.isfunction)
    own = [(name, test) for name, test in found if name.startswith("test_")]
    own.sort(key=lambda pair: inspect.unwrap(pair[1]).__code__.co_firstlineno)
    return {name: inspect.cleandoc(test.__doc__ or "") for name, test in own}


def tried() -> Outcomes:
    """Run the laws, as `make test` does."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.xml"
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={out}", laws.__file__]
        subprocess.run([sys.executable, *words], check=False, cwd=ROOT)
        return outcomes_of(out.read_text(encoding="utf-8"))


def outcomes_of(report: str) -> Outcomes:
    """Return the outcomes in pytest's own report; an error beside a test is a failure too."""
    found: dict[tuple[str, str], str] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        law, _, name = case.attrib["name"].partition("[")
        bad = case.find("failure") is not None or case.find("error") is not None
        one = "failed" if bad else "passed" if case.find("skipped") is None else "skipped"
        if found.get((name.removesuffix("]"), law)) != "failed":
            found[name.removesuffix("]"), law] = one
    return found


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
    always = _named(["llama", "bert", *pipelines.ALWAYS])
    by_length = _named(ROPES_BY_LENGTH)
    return REST.format(
        pipelines=_lines(PIPELINES.format(always=always, others=_named(others))),
        rotary=_lines(ROTARY.format(ropes=_named(ROPES), by_length=by_length)),
        plain=plain,
        besides=_lines(BESIDES.format(kinds=_named(KINDS))),
        refused="\n".join(
            _lines(f"* {_named(name for name in REFUSED if REFUSED[name] == reason)}: {reason}.")
            for reason in dict.fromkeys(REFUSED.values())
        ),
    )


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _lines(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


if __name__ == "__main__":
    found = tried()
    PAGE.write_text(page(found), encoding="utf-8")
    failed = sorted(f"{law} of {name}" for (name, law), one in found.items() if one == "failed")
    sys.stdout.write(f"wrote {PAGE}\n" + "".join(f"failed: {one}\n" for one in failed))
    sys.exit(bool(failed))
