"""The page of runs side by side in a real browser: drawn, closed, and all text stays text."""

from pathlib import Path

import pytest

from made_runs import STOPPED, finding, made_run, sets
from neuron_atlas.comparison.compare import write_page
from neuron_atlas.comparison.side_by_side import side_by_side

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202eabc"
WIDER = "document.documentElement.scrollWidth > innerWidth"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of four runs; one has a hostile name and values, one is another run's."""
    hostile = made_run(
        HOSTILE,
        parameters={"model.source": HOSTILE, HOSTILE: HOSTILE},
        findings={"interference": finding(0.9, word=HOSTILE), HOSTILE: finding(0.2)},
        sets=sets(2, 3, 4),
    )
    long = made_run("long-" * 12, findings={"interference": finding(0.31), HOSTILE: finding(0.9)})
    stale = made_run("stopped", ownership=STOPPED, findings={}, known={}, sets="")
    out = tmp_path_factory.mktemp("compared") / "compare.html"
    first = made_run("HEAD", findings={"interference": finding(0.3), HOSTILE: finding(0.1)})
    write_page(side_by_side([first, hostile, long, stale]), out)
    return out


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_drawn_under_the_policy_and_fits(
    browser: "playwright.Browser", file: Path, theme: str, width: int
) -> None:
    opened = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    said: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(file.as_uri())
    places = opened.locator("[data-chart]")
    assert places.count() == 2
    for number in range(2):
        places.nth(number).scroll_into_view_if_needed()
        opened.wait_for_selector(f"[data-chart=chart-claim-{number}][data-drawn={theme}] svg")
    assert places.nth(0).locator("svg .mark-symbol path").count() >= 3
    assert HOSTILE in opened.inner_text("main")
    assert opened.locator("main img, main iframe").count() == 0
    assert not opened.evaluate(WIDER)
    assert not said
    assert requests == [file.as_uri()]
    opened.close()


def test_axe_finds_nothing_serious(browser: "playwright.Browser", file: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for theme in ("light", "dark"):
        opened = browser.new_page(color_scheme=theme, bypass_csp=True)
        opened.goto(file.as_uri())
        opened.locator("[data-chart]").first.scroll_into_view_if_needed()
        opened.wait_for_selector("[data-drawn] svg")
        found = axe.Axe().run(opened).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, [
            (one["id"], [n["html"][:200] for n in one["nodes"]]) for one in serious
        ]
        opened.close()
