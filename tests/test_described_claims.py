"""Claims, figures and words: what pages say of them is what code and committed results have."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import describe_claims
import fill_figures
import pytest

from neuron_atlas.attribution_methods.methods import METHODS
from neuron_atlas.degenerate_neurons.claims import DETECTORS
from neuron_atlas.editing.tables import ARMS, IN_ALL_ARMS
from neuron_atlas.findings.effects import CONTROLS
from neuron_atlas.report.claims import CLAIMS
from neuron_atlas.verdicts import (
    interest,
    knowledge_verdicts,
    language_verdicts,
    relation_verdicts,
    selector_verdict,
    sharing_verdicts,
)
from neuron_atlas.verdicts.questions import QUESTIONS
from neuron_atlas.verdicts.verdict import Word

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
JUDGES = (
    *(knowledge_verdicts, language_verdicts, relation_verdicts),
    *(selector_verdict, sharing_verdicts),
)
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^### (.+)$", GLOSSARY, flags=re.MULTILINE)
WORDS: tuple[str, ...] = get_args(Word)
AVOIDED = {  # what the literature says, for which these pages have one word of their own
    r"\bLIKNs?\b": "language-independent neuron",
    r"\bDKNs?\b": "degenerate neurons",
    r"\bknock(?:s|ed|ing)? out\b": "switch off",
    r"\bdeactivat\w+\b": "switch off",
    r"\bminimum detectable\b": "minimal detectable effect",
    r"\bfew-shot\b": "demonstrations",
    r"\bconfidence interval\b": "interval",
}
THEIRS = ("glossary.md", "comparison.md", "protocols.md")  # where others' words are explained


def test_the_page_on_claims_is_the_present_one() -> None:
    assert describe_claims.page() == describe_claims.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", fill_figures.PAGES, ids=lambda page: page.name)
def test_figures_are_those_of_the_committed_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert fill_figures.filled(text) == text
    assert "<!-- figures: " in text


def judges() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in JUDGES:
        yield from inspect.getmembers(module, inspect.isfunction)


def test_effects_of_interest_are_those_by_which_claims_are_judged() -> None:
    found = {
        name: inspect.signature(judge).parameters["interest"].default
        for name, judge in judges()
        if name in CLAIMS
    }
    known = {**found, "degenerate_neurons_help_fact_checking": interest.FACT_CHECKING}
    assert known == describe_claims.INTEREST
    assert set(known) == set(CLAIMS) == set(QUESTIONS)


def test_every_word_has_an_example_or_is_said_to_have_none() -> None:
    shown = fill_figures.examples()
    verdicts = json.loads((ROOT / "metrics/summary.json").read_text(encoding="utf-8"))["verdicts"]
    for word in WORDS:
        n = sum(one["verdict"] == word for one in verdicts.values())
        (line,) = re.findall(rf"^\* \*\*{word}\*\* \((\d+)\): (.+)$", shown, flags=re.MULTILINE)
        assert int(line[0]) == n
        assert ("No claim of this run." in line[1]) == (n == 0)


def example(**found: Any) -> str:
    numbers = {"effect": 0.1, "low": -0.1, "high": 0.3, "mde": 0.16, "p_value": 0.2, "p_holm": 1.0}
    return fill_figures._example("relation_neurons_exist", {**numbers, **found})


def test_examples_say_what_their_numbers_mean() -> None:
    """Four times the relations halve the smallest effect."""
    assert "about 4.0 times as many relations to see 0.08" in example(verdict="untestable")
    assert "excludes 0, on the other side" in example(verdict="contradicted")
    assert "an effect of 0.16 would have been found" in example(verdict="not supported")
    assert "less than the 0.08 of interest" in example(verdict="undecided", mde=0.07)
    nothing = example(verdict="untestable", mde=None, reason="no detector")
    assert nothing == "`relation_neurons_exist` has nothing to measure: no detector."


def section(term: str) -> str:
    return GLOSSARY.split(f"\n### {term}\n")[1].split("\n#")[0]


def test_terms_are_explained_once() -> None:
    assert len(TERMS) == len(set(TERMS)) > 50
    assert all(len(section(term).split()) > 3 for term in TERMS)


def test_every_word_of_a_verdict_is_explained() -> None:
    assert set(WORDS) <= set(TERMS)


def test_every_control_is_explained_by_the_name_that_tables_have() -> None:
    assert all(f"`{control}`" in GLOSSARY for control in CONTROLS)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("methods/attributions.md", METHODS),
        ("methods/degenerate-neurons.md", DETECTORS),
        ("methods/effects.md", CONTROLS),
        ("methods/claims.md", CLAIMS),
        ("results.md", ARMS),
    ],
)
def test_every_name_has_its_row(page: str, names: tuple[str, ...]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text and f"## {name}\n" not in text] == []


def test_every_place_where_edits_are_measured_is_named() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert all(f"| {place} |" in text for place in IN_ALL_ARMS)


@pytest.mark.parametrize("pattern", AVOIDED)
def test_one_thing_has_one_name(pattern: str) -> None:
    pages = [p for p in DOCS.rglob("*.md") if p.name not in THEIRS and "claims" not in p.name]
    found = {p.name for p in pages if re.search(pattern, p.read_text(encoding="utf-8"))}
    assert found == set(), f"say: {AVOIDED[pattern]}"


def test_names_to_avoid_are_in_the_glossary_or_clear_without_it() -> None:
    """The positive control: what is looked for would be found."""
    assert re.search(r"\bLIKNs?\b", GLOSSARY)
    assert re.search(r"\bDKNs?\b", GLOSSARY)
    assert all(name.partition(" ")[0] in GLOSSARY for name in AVOIDED.values())
