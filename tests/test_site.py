"""The site: built strictly, whole, without a request; formulas, links and examples hold."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import site_hooks
from dvc.utils.hydra import apply_overrides
from latex2mathml.converter import convert
from ruamel.yaml import YAML

from neuron_atlas.checks import sections
from neuron_atlas.pipeline import params
from neuron_atlas.sources import own
from neuron_atlas.wording import templates

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
STAGES = set(params.read_yaml(ROOT / "dvc.yaml")["stages"])
WORKFLOW = DOCS / "examples" / "results.yml"
MAJOR = re.compile(r"[\w-]+/[\w-]+@v\d+")


def built(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder strictly."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    done = built(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


# What is built.


def test_every_page_is_on_the_site_and_in_its_menu(site: Path) -> None:
    menu = (site / "index.html").read_text(encoding="utf-8")
    there = {*PAGES, *site_hooks.OUTSIDE}
    assert len(there) > 30
    for name in there:
        page = name.removesuffix("README.md") + "index.html" if "README" in name else ""
        page = page or name.removesuffix(".md") + ".html"
        assert (site / page).is_file(), name
        assert f'href="{page}"' in menu or name == "index.md", name


def test_scripts_beside_the_pages_are_no_pages(site: Path) -> None:
    assert not list(site.rglob("*.py"))


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    """Links that a reader may follow are no requests."""
    asks = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*")
    found = {
        match[0]
        for page in site.rglob("*.html")
        for match in asks.finditer(page.read_text(encoding="utf-8"))
    }
    assert found == set()
    assert asks.search('<script src="https://a/b.js">')
    assert "url(http" not in "".join(p.read_text() for p in site.rglob("*.css"))


def test_the_search_needs_no_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "minimal detectable effect" in index
    page = (site / "index.html").read_text(encoding="utf-8")
    assert 'src="assets/iframe-worker.js"' in page


def test_a_page_outside_the_menu_and_a_dead_link_are_refused(tmp_path: Path) -> None:
    """The positive control of the strict build."""
    for name in ("docs", "mkdocs.yml", "src", "data/raw/README.md", *site_hooks.OUTSIDE):
        to = tmp_path / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir() and name != "docs":
            to.symlink_to(ROOT / name)
        elif name == "docs":
            shutil.copytree(ROOT / name, to)
        else:
            shutil.copy(ROOT / name, to)
    (tmp_path / "docs" / "new.md").write_text("[a](results.md#nowhere)")
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert 'not included in the "nav"' in done.stderr
    assert "does not contain an anchor '#nowhere'" in done.stderr


# Links and formulas.


def test_links_lead_to_pages_of_the_site() -> None:
    pages = {"results.md", "howto/gpu.md", "CONTRIBUTING.md", "examples/results.yml"}

    def there(text: str, own: str, address: str | None = None) -> str:
        return site_hooks.as_on_site(text, own, pages, address)

    assert there("[a](../results.md#b)", "howto/gpu.md") == "[a](../results.md#b)"
    assert there("[a](../../CONTRIBUTING.md#b)", "howto/gpu.md") == "[a](../CONTRIBUTING.md#b)"
    assert there("[a](docs/results.md)", "CONTRIBUTING.md") == "[a](results.md)"
    assert there("[a](#b) [c](https://d)", "results.md") == "[a](#b) [c](https://d)"
    assert there("[a](../LICENSE)", "results.md") == "a"
    assert there("[a](../LICENSE#b)", "results.md", "https://x") == (
        "[a](https://x/blob/main/LICENSE#b)"
    )
    code = "`[a](../LICENSE)`\n```\n[a](../LICENSE)\n```"
    assert there(code, "results.md") == code


def formulas() -> list[str]:
    blocks = re.compile(r"^```math\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [one for path in PAGES.values() for one in blocks.findall(path.read_text("utf-8"))]


def test_formulas_are_drawn_by_any_browser() -> None:
    """What the converter does not know stays with its backslash; a root needs a font for maths."""
    found = formulas()
    assert len(found) > 15
    for formula in found:
        drawn = convert(formula.strip(), display="block")
        assert "\\" not in drawn, formula
        assert "<msqrt" not in drawn, formula
    assert "\\" in convert(r"\Big\| x")


# What pages say.


def test_every_stage_has_one_section_on_its_method() -> None:
    heading = re.compile(r"^## `(\w+)`$", re.MULTILINE)
    found = [
        name
        for page, path in PAGES.items()
        if page.startswith("methods/")
        for name in heading.findall(path.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(STAGES)


def commands(text: str) -> list[list[str]]:
    """The words of the commands in a page's blocks, lines that go on joined."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines]


def overrides(words: list[str]) -> list[str]:
    return [value for flag, value in pairwise(words) if flag == "-S"]


@pytest.mark.parametrize("page", [name for name in PAGES if name.startswith(("howto", "tutor"))])
def test_what_a_page_sets_is_allowed(page: str, tmp_path: Path) -> None:
    """Variables of the shell get a value."""
    for words in commands(PAGES[page].read_text(encoding="utf-8")):
        given = [one.replace("$COMMIT", "a" * 40).replace("$K", "9") for one in overrides(words)]
        if given:
            copy = tmp_path / "params.yaml"
            copy.write_bytes((ROOT / "params.yaml").read_bytes())
            apply_overrides(copy, given)
            sections.load(copy)


def test_a_value_that_is_not_allowed_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "params.yaml"
    copy.write_bytes((ROOT / "params.yaml").read_bytes())
    apply_overrides(copy, overrides(commands("```sh\na -S relation_neurons.k=0\n```")[0]))
    with pytest.raises(ValueError, match=r"relation_neurons\.k"):
        sections.load(copy)


def test_the_example_of_own_facts_can_be_read(tmp_path: Path) -> None:
    text = PAGES["howto/own-facts.md"].read_text(encoding="utf-8")
    (rows,), (file,) = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("json", "yaml")
    )
    facts = tmp_path / "my.jsonl"
    facts.write_text(rows, encoding="utf-8")
    assert own.read(facts, "sv", None).table["object_label"].tolist() == ["Rovers"]
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "en.yaml").write_text(file, encoding="utf-8")
    assert templates.lint(folder) == []


# The workflow.


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(WORKFLOW)
    return found


def checked(file: Path) -> int:
    words = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
    return subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode


def test_the_workflow_is_one(tmp_path: Path) -> None:
    assert checked(WORKFLOW) == 0
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOW.read_text().replace("runs-on:", "runs_on:"))
    assert checked(broken) != 0


def test_the_workflow_gives_no_more_than_it_has_to() -> None:
    """A job that runs the code of a pull request may read; the one that may comment runs none."""
    found = workflow()
    assert found["permissions"] == {}
    assert set(found["on" if "on" in found else True]) == {"pull_request"}
    jobs = found["jobs"]
    assert jobs["reproduce"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert all(MAJOR.fullmatch(step["uses"]) for step in steps if "uses" in step)
    assert not any("${{" in step.get("run", "") for step in steps)  # nothing enters a command
    first = jobs["reproduce"]["steps"][0]
    assert first["with"]["persist-credentials"] is False


def test_the_workflow_s_commands_are_shell() -> None:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    for script in [step["run"] for step in steps if "run" in step]:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
