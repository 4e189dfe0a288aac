"""The atlas page in a real browser: quiet, whole, readable and usable on a phone and a desk."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import results
from neuron_atlas.report import charts, metrics, page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

RELATIONS = (
    *("capital", "continent", "country_of_city", "country_of_language", "currency"),
    *("currency_code", "internet_domain", "neighbour", "number_after", "official_language"),
    *("script_of_language", "unit_symbol"),
)
LANGUAGES = ("en", "fr", "de", "es", "ru", "zh")
WIDTHS = {"desk": 1280, "phone": 390}
PATIENCE = 120_000  # milliseconds for what must happen; a busy machine is slow
# Words of a chart that reach beyond its frame, with the chart's name.
CUT = """() => [...document.querySelectorAll("[data-chart] svg")].flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    const seen = (one) => one.textContent && one.getAttribute("opacity") !== "0";
    return [...svg.querySelectorAll("text")].filter(seen).filter((one) => {
        const { left, right, top, bottom } = one.getBoundingClientRect();
        return left < frame.left - 1 || right > frame.right + 1 || top < frame.top - 1
            || bottom > frame.bottom + 1;
    }).map((one) => `${svg.closest("[data-chart]").dataset.chart}: ${one.textContent}`);
})"""
# Pairs of words on an axis, or in a legend, that lie on each other.
COLLIDING = """() => [...document.querySelectorAll("[data-chart] svg")].flatMap((svg) =>
    [...svg.querySelectorAll(".mark-text.role-axis-label, .mark-text.role-legend-label")]
    .flatMap((group) => {
        const words = [...group.querySelectorAll("text")].filter((one) => one.textContent
            && one.getAttribute("opacity") !== "0"
            && !/rotate/.test(one.getAttribute("transform")));
        const boxes = words.map((one) => one.getBoundingClientRect());
        return words.slice(1).flatMap((one, i) => {
            const [a, b] = [boxes[i], boxes[i + 1]];
            const apart = a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 3
                || b.bottom <= a.top + 3;
            const chart = svg.closest("[data-chart]").dataset.chart;
            return apart ? [] : [`${chart}: ${words[i].textContent} ${one.textContent}`];
        });
    }))"""


@dataclass
class Seen:
    """A page, and what it did besides."""

    page: "playwright.Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def draw_everything(self) -> None:
        """Open all details and scroll through the page, until all charts are drawn."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for place in self.page.locator("[data-chart]").all():
            place.evaluate("one => one.scrollIntoView({behavior: 'instant'})")
            playwright.expect(place).to_have_attribute(
                "data-drawn", re.compile("light|dark"), timeout=PATIENCE
            )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = results.everything(RELATIONS, LANGUAGES)
    made = tmp_path_factory.mktemp("page") / "index.html"
    summary = metrics.metrics(given)["summary"]
    drawn = charts.page_charts(given)
    text = page.render(given, summary, drawn, title="Neuron Atlas", top_neurons=3)
    made.write_text(text, encoding="utf-8")
    return made


def look(
    browser: "playwright.Browser",
    file: Path,
    *,
    place: str = "",
    width: int = 1280,
    theme: str = "light",
    bypass: bool = False,
) -> Seen:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        reduced_motion="reduce",
        bypass_csp=bypass,
    )
    seen = Seen(context.new_page())
    seen.page.set_default_timeout(PATIENCE)
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(f"{file.as_uri()}{place}")
    return seen


@pytest.fixture(scope="module", params=[("desk", "light"), ("phone", "dark")])
def drawn(
    request: pytest.FixtureRequest, browser: "playwright.Browser", file: Path
) -> Iterator[Seen]:
    name, theme = request.param
    seen = look(browser, file, width=WIDTHS[name], theme=theme)
    seen.draw_everything()
    yield seen
    seen.page.context.close()


def test_it_complains_of_nothing_and_asks_for_nothing(drawn: Seen, file: Path) -> None:
    assert not drawn.complaints
    assert [url for url in drawn.requests if not url.startswith(("data:", "blob:"))] == [
        file.as_uri()
    ]


def test_no_word_of_a_chart_is_cut_off_or_lies_on_another(drawn: Seen) -> None:
    assert drawn.page.locator("[data-chart] svg text").count() > 500
    assert drawn.page.evaluate(CUT) == []
    assert drawn.page.evaluate(COLLIDING) == []


def test_the_page_fits_its_width_and_wide_tables_scroll(drawn: Seen) -> None:
    width = drawn.page.viewport_size["width"]
    assert drawn.page.evaluate("document.documentElement.scrollWidth") == width
    beyond = """() => [...document.querySelectorAll("main table, main figure, main p, main dl")]
        .filter((one) => !one.closest(".scroll, .explorer, dialog"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 80))"""
    assert drawn.page.evaluate(beyond) == []
    last = drawn.page.locator("[aria-label='Attribution methods'] thead th").last
    last.scroll_into_view_if_needed()
    assert last.bounding_box()["x"] < width


def test_a_chart_is_one_picture_with_its_description(drawn: Seen) -> None:
    chart = drawn.page.locator("[data-chart=chart-interference]")
    assert chart.get_attribute("role") == "img"
    assert "nats" in (chart.get_attribute("aria-label") or "")
    assert chart.locator("svg").get_attribute("aria-hidden") == "true"


@pytest.mark.parametrize(
    ("name", "theme"), [("desk", "light"), ("desk", "dark"), ("phone", "dark")]
)
def test_axe_finds_no_serious_fault(
    browser: "playwright.Browser", file: Path, name: str, theme: str
) -> None:
    seen = look(browser, file, width=WIDTHS[name], theme=theme, bypass=True)
    seen.draw_everything()
    found = axe.Axe().run(seen.page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:120]) for one in serious] == []
    seen.page.context.close()


def test_the_address_of_a_relation_opens_it(browser: "playwright.Browser", file: Path) -> None:
    seen = look(browser, file, place="#relation-currency")
    seen.page.wait_for_selector("#relation-currency[open]")
    assert seen.page.locator(".relation[open]").count() == 1
    top = seen.page.locator("#relation-currency > summary").bounding_box()["y"]
    assert 0 <= top < 450
    seen.page.wait_for_selector("#relation-currency [data-drawn=light] svg")
    seen.page.evaluate("location.hash = '#relation-capital'")
    seen.page.wait_for_selector("#relation-capital[open]")
    seen.page.context.close()


def test_the_keyboard_reaches_and_opens_everything(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = look(browser, file)
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("location.hash") == "#main"
    summary = seen.page.locator("#relation-capital > summary")
    summary.focus()
    seen.page.keyboard.press("Enter")
    assert seen.page.locator("#relation-capital[open]").count() == 1
    radio = seen.page.locator("#chart-interference-choices input").first
    seen.page.locator("#matrix").scroll_into_view_if_needed()
    radio.focus()
    seen.page.keyboard.press("ArrowDown")
    assert seen.page.locator("#chart-interference-choices input:checked").first.input_value() == (
        "effect_type"
    )
    seen.page.context.close()


def test_choices_change_the_matrix(browser: "playwright.Browser", file: Path) -> None:
    seen = look(browser, file, place="#matrix")
    cells = "[data-chart=chart-interference] .mark-text.role-mark text"
    seen.page.wait_for_selector(cells)
    before = seen.page.locator(cells).all_text_contents()
    assert len(before) == len(RELATIONS) ** 2
    seen.page.get_by_label("the effect itself").check()
    seen.page.wait_for_function(f"document.querySelector('{cells}').textContent !== '{before[0]}'")
    assert seen.page.locator(cells).first.text_content() == "−3.00"
    seen.page.locator("#chart-interference-choices select").select_option("zh")
    seen.page.get_by_label("later tokens").check()
    seen.page.wait_for_function(f"document.querySelector('{cells}').textContent === '−0.50'")
    seen.page.hover(f"{cells} >> nth=0")  # on the number, not beside it
    tip = seen.page.locator(".vg-tooltip")
    tip.wait_for()
    assert "not for this choice" in tip.inner_text()
    assert not seen.complaints
    seen.page.context.close()


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("#relation-captial", "#relation-captial"),
        ("#%E0%A4%A", "#%E0%A4%A"),  # no valid encoding
        ("#relation-capital", None),
        ("", None),
    ],
)
def test_an_address_that_names_nothing_is_said(
    browser: "playwright.Browser", file: Path, place: str, named: str | None
) -> None:
    seen = look(browser, file, place=place)
    notice = seen.page.locator("#unknown-address")
    if named is None:
        assert notice.text_content() == ""
    else:
        assert named in str(notice.text_content())
        assert notice.is_visible()
    seen.page.evaluate("location.hash = '#matrix'")
    playwright.expect(notice).to_be_empty()
    seen.page.evaluate("location.hash = '#nowhere'")
    playwright.expect(notice).to_be_in_viewport()
    assert not seen.complaints
    seen.page.context.close()


def test_text_from_right_to_left_stays_so(browser: "playwright.Browser", file: Path) -> None:
    seen = look(browser, file, place="#relation-capital")
    token = seen.page.locator("#relation-capital bdi.token", has_text="שלום").first
    assert token.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    cell = seen.page.locator("#relation-capital td[dir=auto]").first
    cell.evaluate("one => { one.textContent = 'שלום'; }")
    assert cell.evaluate("one => getComputedStyle(one).direction") == "rtl"
    seen.page.context.close()


def test_print_has_everything_that_is_folded_away_above(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = look(browser, file)
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert seen.page.locator(".relation:not([open])").count() == 0
    seen.page.emulate_media(media="print")
    assert seen.page.locator("nav[aria-label=Contents]").is_hidden()
    seen.page.context.close()


def test_without_scripts_the_findings_and_the_numbers_are_there(
    browser: "playwright.Browser", file: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert "What was found" in opened.inner_text("main")
    opened.locator("figure:has([data-chart=chart-recall]) summary").click()
    assert opened.locator("figure:has([data-chart=chart-recall]) td").first.is_visible()
    context.close()
