"""README.md names every parameter, stage and target there is, and no others."""

import re
from pathlib import Path

import count_facts

from neuron_atlas.pipeline import params
from neuron_atlas.wording import templates

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STAGES = params.read_yaml(ROOT / "dvc.yaml")["stages"]
SECTIONS = params.read_yaml(ROOT / "params.yaml")


def rows(heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    part = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)`", part, flags=re.M)


def test_every_parameter_has_its_row() -> None:
    there = [f"{s}.{key}" for s in SECTIONS if s != "languages" for key in SECTIONS[s]]
    assert rows("The parameters") == ["languages", *there]


def test_every_stage_has_its_row() -> None:
    assert rows("The stages") == list(STAGES)


def test_targets_and_stages_that_are_named_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.M)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.M)
    assert named
    assert set(named) <= set(targets)
    repeated = re.findall(r"dvc repro ([a-z_]+)", README)
    assert set(repeated) <= set(STAGES)


def test_parameters_in_the_text_exist() -> None:
    used = re.findall(r"`(\w+)\.(\w+)`", README) + re.findall(r"-S (\w+)\.(\w+)=", README)
    assert all(key in SECTIONS[s] for s, key in used if s in SECTIONS and s != "languages")


def test_the_languages_with_templates_are_named() -> None:
    *first, last = templates.languages()
    assert f"Templates exist for {', '.join(first)} and {last}." in " ".join(README.split())


def test_the_readme_s_test_command_is_what_ci_runs() -> None:
    assert "make test" in README
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text()


def test_the_counts_of_the_built_in_facts_are_the_present_ones() -> None:
    text = count_facts.PAGE.read_text(encoding="utf-8")
    assert count_facts.page(text) == text
    assert text.count("| `capital` | yes |") == 1
