"""The documents name every parameter, stage and target there is, and nothing that is not there."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import count_facts
import list_families
import list_parameters
import pytest

from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.pipeline import params
from neuron_atlas.sources.settings import Hub
from neuron_atlas.wording import templates
from repository import knobs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = (".dvc", ".html", ".json", ".lock", ".md", ".parquet", ".py", ".yaml")
HUB = {f"facts.hub.{key}" for key in Hub.model_fields}
STAGES = params.read_yaml(ROOT / "dvc.yaml")["stages"]
SECTIONS = params.read_yaml(ROOT / "params.yaml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in LISTED if name.endswith(".md")}
OURS = r"(?:src|stages|tests|tools|docs|benchmarks|\.ci|data/raw)/"  # what a clone has

each_page = pytest.mark.parametrize("page", PAGES)


def rows(heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    part = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)`", part, flags=re.M)


def test_every_parameter_has_its_row() -> None:
    """Of `facts.hub`, which is null as shipped, the keys that it may have are there too."""
    text = list_parameters.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^\| `(.+?)` \| .+ \| .* \| (.+) \|$", text, flags=re.M)
    there = [name for name, _ in knobs(SECTIONS) if name != "seed"]
    assert [name for name, _ in found if name not in HUB] == there
    assert {name for name, _ in found} == {*there, *HUB}
    assert all(len(meaning.split()) > 1 for _, meaning in found)
    assert "`languages` is a mapping" in text
    assert "`seed` is a whole number" in text


def test_the_parameters_are_described_as_their_classes_do() -> None:
    assert list_parameters.page() == list_parameters.PAGE.read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert README.count("\n") < 170


def test_every_stage_has_its_row() -> None:
    assert rows("The stages") == list(STAGES)


@each_page
def test_targets_and_stages_that_are_named_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.M)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", PAGES[page], flags=re.M)
    assert named or page != "README.md"
    assert set(named) <= set(targets)
    repeated = re.findall(r"dvc repro ([a-z_]+)", PAGES[page])
    assert set(repeated) <= set(STAGES)


def exists(dotted: str, values: Any = SECTIONS) -> bool:
    """Whether params.yaml has a key, or may have it in `facts.hub`, which is null as shipped."""
    key, _, rest = dotted.partition(".")
    if dotted in HUB or values is None:
        return dotted in HUB
    return key in values and (not rest or exists(rest, values[key]))


@each_page
def test_parameters_in_the_text_exist(page: str) -> None:
    text = PAGES[page]
    set_there = re.findall(r"-S (\w+(?:\.\w+)+)=", text)
    named = re.findall(r"`(\w+(?:\.\w+)+)(?:: \w+)?`", text)
    used = set_there + [name for name in named if name.split(".")[0] in SECTIONS]
    used = [name for name in used if not name.endswith(FILES)]
    assert used or page not in ("README.md", "docs/protocols.md", "docs/experiments.md")
    assert [name for name in used if not exists(name)] == []


def test_a_parameter_that_is_not_there_is_seen() -> None:
    assert exists("relation_neurons.k")
    assert exists("facts.hub.dataset")
    assert not exists("facts.hub.data")
    assert not exists("relation_neurons.q")
    assert not exists("relation_neuron.k")


def links(text: str) -> list[str]:
    """The relative links of a page, without the place inside the page that they name."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.split("#")[0] for target in found if not re.match(r"\w+:|#", target)]


def paths(text: str) -> list[str]:
    """What a page calls by its path in this repository: in backticks, with nothing left open."""
    return re.findall(rf"`({OURS}[\w./-]+|[\w/.-]+\.(?:py|md|cff|toml))`", text)


@each_page
def test_every_link_leads_somewhere(page: str) -> None:
    dead = [to for to in links(PAGES[page]) if not ((ROOT / page).parent / to).exists()]
    assert dead == []


@each_page
def test_every_path_that_is_named_exists(page: str) -> None:
    dead = [
        name for name in paths(PAGES[page]) if not any(known(name, place) for place in (page, "."))
    ]
    assert dead == []


def known(name: str, page: str) -> bool:
    """Whether a name is a path from the root or from a page's folder, or the end of one of ours."""
    near = (ROOT / page).parent / name
    return (ROOT / name).exists() or near.exists() or any(p.endswith(f"/{name}") for p in LISTED)


def test_a_dead_path_and_a_dead_link_are_seen() -> None:
    assert paths("`src/neuron_atlas/gone.py` and `gone.py`") == [
        "src/neuron_atlas/gone.py",
        "gone.py",
    ]
    assert not known("src/neuron_atlas/gone.py", "README.md")
    assert not known("gone.py", "README.md")
    assert links("[a](docs/gone.md#b) [c](#d) [e](https://f)") == ["docs/gone.md"]


def test_the_families_are_named() -> None:
    text = " ".join(README.split()).split("The families ")[1].split(" are known")[0]
    assert sorted(re.findall(r"`([\w-]+)`", text)) == sorted(ARCHITECTURES)


def test_the_report_on_families_is_of_these_families_and_laws() -> None:
    """Which laws hold is what a run of them said; all else on the page follows from the code."""
    text = list_families.PAGE.read_text(encoding="utf-8")
    outcomes = list_families.read(text)
    assert list_families.page(outcomes) == text
    assert {name.partition(", ")[0] for name, _ in outcomes} == set(ARCHITECTURES)
    assert set(outcomes.values()) == {"passed", "skipped"}
    skipped = {name for (name, _), outcome in outcomes.items() if outcome == "skipped"}
    assert skipped == {name for name, row in ARCHITECTURES.items() if row.encoder}


REPORT = """<testsuites><testsuite><testcase name="test_padding[llama]"/>
<testcase name="test_padding[opt, post-norm of 350m]"><failure message="m"/></testcase>
<testcase name="test_padding[bert]"><error message="m"/></testcase>
<testcase name="test_kept_keys[bert]"><skipped message="m"/></testcase></testsuite></testsuites>"""


def test_a_law_that_fails_is_seen_and_shown() -> None:
    found = list_families.outcomes_of(REPORT)
    assert found == {
        ("llama", "test_padding"): "passed",
        ("opt, post-norm of 350m", "test_padding"): "failed",
        ("bert", "test_padding"): "failed",
        ("bert", "test_kept_keys"): "skipped",
    }
    every = list_families.read(list_families.PAGE.read_text(encoding="utf-8"))
    page = list_families.page({**every, ("bert", "test_padding"): "failed"})
    assert "| `bert` |  | yes | yes | yes | **no** |" in page
    assert list_families.read(page)["bert", "test_padding"] == "failed"


def test_the_rooms_are_those_of_the_linter_in_its_order() -> None:
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    table = PAGES["CONTRIBUTING.md"].split("\n## The rooms\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, flags=re.M)
    listed = [sorted(re.findall(r"`(\w+)(?:\.py)?`", cell)) for cell in cells]
    assert listed == [sorted(layer.split(" | ")) for layer in contract["layers"]]


def test_citation_and_changelog_agree_with_the_project() -> None:
    project, citation = PROJECT["project"], params.read_yaml(ROOT / "CITATION.cff")
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    assert citation["title"].lower().replace(" ", "-") == project["name"]
    assert project["version"] in PAGES["CHANGELOG.md"]


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
