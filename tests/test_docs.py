"""README.md and docs/ name every parameter, stage and target there is, and no others."""

import re
from pathlib import Path

import count_facts
import list_parameters

from neuron_atlas.pipeline import params
from neuron_atlas.sources.readers import Hub
from neuron_atlas.wording import templates
from repository import knobs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = (".dvc", ".json", ".parquet", ".py")
HUB = {f"facts.hub.{key}" for key in Hub.model_fields}
STAGES = params.read_yaml(ROOT / "dvc.yaml")["stages"]
SECTIONS = params.read_yaml(ROOT / "params.yaml")


def rows(heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    part = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)`", part, flags=re.M)


def test_every_parameter_has_its_row() -> None:
    """Of `facts.hub`, which is null as shipped, the keys that it may have are there too."""
    text = list_parameters.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^\| `(.+?)` \| .+ \| .* \| (.+) \|$", text, flags=re.M)
    there = [name for name, _ in knobs(SECTIONS)]
    assert [name for name, _ in found if name not in HUB] == there
    assert {name for name, _ in found} == {*there, *HUB}
    assert all(len(meaning.split()) > 1 for _, meaning in found)
    assert "`languages` is a mapping" in text


def test_the_parameters_are_described_as_their_classes_do() -> None:
    assert list_parameters.page() == list_parameters.PAGE.read_text(encoding="utf-8")


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
    texts = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))]
    found = [m for t in texts for m in re.findall(r"(?:`|-S )(\w+(?:\.\w+)+)(?:`|=|:)", t)]
    found = [name for name in found if not name.endswith(FILES)]
    used = {name for name in found if name.split(".")[0] in set(SECTIONS) - {"languages"}}
    there = dict(knobs(SECTIONS))
    assert len(used) > 20
    assert {name for name in used if name not in there} <= HUB


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
