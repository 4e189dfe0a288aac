"""Time the explorer of neurons in Chromium: a page of made-up neurons, opened from disk.

Usage: python benchmarks/explorer.py RESULTS.json [NEURONS ...]
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import explorer_page
import made_cards

SIZES = (1_000, 100_000)
ROUNDS = 3
PATIENCE = 120_000  # milliseconds
N_WORDS = 20_000  # different tokens of each script
ROW = "#explorer-table tbody tr[data-neuron]"
PAINTS = "performance.getEntriesByName('first-contentful-paint').length"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def rows(page: Page) -> None:
    """Come to the explorer, as a link to it does, until its rows are there."""
    page.evaluate("location.hash = 'sort=-sets'")
    page.wait_for_selector(ROW)


def sort(page: Page) -> None:
    """Sort by a number."""
    page.click("th:has-text('Mean activation')")
    page.wait_for_selector("th[aria-sort=descending]:has-text('Mean activation')")


def choose(page: Page) -> None:
    """Choose a relation."""
    page.select_option("[name=relation]", "capital")
    page.wait_for_selector(".dt-info:has-text('(of')")


def search(page: Page) -> None:
    """Search a token."""
    page.fill("[name=token]", "zanzibar")
    page.wait_for_selector("mark.token")


def card(page: Page) -> None:
    """Open a card."""
    page.click(f"{ROW} a")
    page.wait_for_selector("dialog[open]")


def export(page: Page) -> None:
    """Save all neurons as CSV."""
    page.keyboard.press("Escape")
    page.click("text=Clear")
    with page.expect_download() as download:
        page.click("text=Download as CSV")
    download.value.path()


STEPS = (rows, sort, choose, search, card, export)  # what a reader does, each until it can be seen


def look(browser: Browser, file: Path) -> dict[str, float]:
    """Open a page once and time each step, seconds; the steps include the driver's own time."""
    # Steps would wait for what moves.
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    start = time.perf_counter()
    page.goto(file.as_uri(), wait_until="load")
    page.wait_for_function(PAINTS)
    found = {"loaded_s": time.perf_counter() - start, "first_paint_s": page.evaluate(PAINT)}
    for step in STEPS:
        start = time.perf_counter()
        step(page)
        found[f"{step.__name__}_s"] = time.perf_counter() - start
    page.close()
    return found


def measured(browser: Browser, folder: Path, n: int) -> dict[str, float]:
    """Make a page of `n` neurons and return its size and the medians over `ROUNDS`."""
    cards = made_cards.planted(made_cards.made(n - 1, n_words=N_WORDS))
    file = explorer_page.write(folder / f"{n}.html", cards)
    rounds = [look(browser, file) for _ in range(ROUNDS)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {"neurons": n, "megabytes": file.stat().st_size / 1e6, **medians}


def main(results: Path, sizes: Sequence[int]) -> None:
    """Write and print what was measured."""
    program = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = []
        for n in sizes:
            row = {k: round(v, 3) for k, v in measured(browser, Path(folder), n).items()}
            print(row)
            found.append(row)
        browser.close()
    results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(size) for size in sys.argv[2:]] or SIZES)
