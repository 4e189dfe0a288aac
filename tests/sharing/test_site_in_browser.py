"""The site opens from disk in a real browser: without a request, searchable, on a phone too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from repository import ROOT

PATIENCE = 60_000  # milliseconds for what must happen; a busy machine is slow
PAGES = ("index", "results", "nulls", "methods/effects", "reference/python", "howto/ci", "glossary")


@dataclass(frozen=True)
class Seen:
    """A page of the browser, what it complained of, and what it asked the network for."""

    page: Any
    complaints: list[str]
    asked: list[str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    return out


@pytest.fixture(params=[1280, 390])
def seen(request: pytest.FixtureRequest, browser: Any) -> Iterator[Seen]:
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.set_default_timeout(PATIENCE)
    found = Seen(page, [], [])
    page.on("console", lambda m: found.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda r: found.asked.append(r.url))
    yield found
    page.close()


def test_pages_open_from_disk_and_fit(site: Path, seen: Seen) -> None:
    for name in PAGES:
        seen.page.goto((site / f"{name}.html").as_uri())
        assert seen.page.locator("h1").first.is_visible()
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        assert width <= seen.page.viewport_size["width"], name
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []


def test_formulas_are_drawn(site: Path, seen: Seen) -> None:
    seen.page.goto((site / "methods/verdicts.html").as_uri())
    shapes = seen.page.locator("math").evaluate_all("all => all.map(m => m.clientHeight)")
    assert len(shapes) >= 1
    assert min(shapes) > 10
    assert seen.page.locator("math mfrac").count() >= 1


def test_the_search_finds_a_term_without_a_server(site: Path, seen: Seen) -> None:
    seen.page.goto((site / "index.html").as_uri())
    if seen.page.viewport_size["width"] < 1000:
        seen.page.locator("label.md-header__button[for=__search]").click()
    seen.page.locator("input[name=query]").press_sequentially("chimera")  # as keys are typed
    first = seen.page.locator(".md-search-result__item").first
    first.wait_for()
    assert "chimera" in first.inner_text().lower()
    assert seen.complaints == []


def test_without_its_worker_the_search_would_fail(site: Path, seen: Seen) -> None:
    """The positive control: what the page itself would meet in a file."""
    seen.page.goto((site / "index.html").as_uri())
    real = """() => {
        const frame = document.createElement("iframe");
        document.body.append(frame);
        try { new frame.contentWindow.Worker("a.js"); return "started" } catch { return "refused" }
    }"""
    assert seen.page.evaluate(real) == "refused"


def test_colours_change(site: Path, seen: Seen) -> None:
    seen.page.goto((site / "index.html").as_uri())
    before = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    seen.page.locator("form[data-md-component=palette] label").first.click()
    after = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
