"""Take the pictures of the page for README and the docs: `make picture`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

VIEWS = {  # name: width and height of the window, and the place of the page that it shows
    "findings": (1280, 900, ""),
    "relation": (1280, 1200, "#relation-capital"),
    "matrix": (1280, 1000, "#matrix"),
    "phone": (390, 844, ""),
    "phone_relation": (390, 844, "#relation-capital"),
}
THEMES = ("light", "dark")
PATIENCE = 120_000  # milliseconds; a busy machine is slow


def take(browser: Browser, page: Path, out: Path) -> None:
    """Write `<view>_<theme>.png` of each view."""
    for theme in THEMES:
        for name, (width, height, place) in VIEWS.items():
            size = {"width": width, "height": height}
            opened = browser.new_page(viewport=size, color_scheme=theme, reduced_motion="reduce")
            opened.set_default_timeout(PATIENCE)
            opened.goto(f"{page.resolve().as_uri()}{place}")
            opened.wait_for_function(DRAWN)
            opened.wait_for_timeout(500)
            opened.screenshot(path=out / f"{name}_{theme}.png")
            opened.close()


# All charts in the window are drawn.
DRAWN = """() => [...document.querySelectorAll("[data-chart]")].every((one) => {
    const { top, bottom, width } = one.getBoundingClientRect();
    const away = !width || bottom < 0 || top > innerHeight;
    return away || ["light", "dark"].includes(one.dataset.drawn);
})"""


def main(page: Path, out: Path) -> None:
    """Take all pictures in Debian's Chromium."""
    if not page.is_file():
        raise SystemExit(f"error: {page} does not exist; run `make repro` first")
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("error: chromium not found; install the package chromium")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take(browser, page, out)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
