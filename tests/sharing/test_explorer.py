"""The explorer in a real browser, from disk: filters, cards, addresses, export, hostile text."""

import csv
import io
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import pytest

import explorer_page
import made_cards
import results
from neuron_atlas.cards.reading import Cards
from neuron_atlas.report import charts, metrics, page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

N = 300
ROW = "#explorer-table tbody tr[data-neuron]"
OPEN_CARD = "dialog[open]"
PLANTED = "11:1532"
MARKUP = "</script><img src=x onerror=alert(1)>&amp;"
SHOWN = MARKUP.replace(" ", "␣")  # as a token
FORMULA = "=cmd()|'/c calc'!A0"
MARKS = "\u202e\u200f\u0000\n\t \u00a0"
RIGHT_TO_LEFT = "القاهرة"


@dataclass
class Seen:
    """A page, and what it did besides."""

    page: "playwright.Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def count(self) -> str:
        return str(self.page.inner_text(".dt-info"))

    def addresses(self) -> list[str]:
        return list(self.page.locator(f"{ROW} a.address").all_inner_texts())

    def hash(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def until(self, count: str) -> None:
        """Wait until the line that says how many neurons are shown begins so."""
        self.page.locator(".dt-info", has_text=re.compile(f"^{re.escape(count)}")).wait_for()


def look(browser: "playwright.Browser", file: Path, address: str = "", **options: object) -> Seen:
    """Open a page at an address; `seen.until` and others wait for what it does then."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(file.as_uri() + address)
    return seen


def explore(seen: Seen) -> Seen:
    seen.page.locator("#explorer-section").scroll_into_view_if_needed()
    seen.page.locator(ROW).first.wait_for()
    return seen


def quiet(seen: Seen, file: Path) -> None:
    """Close a page that neither complained nor asked for anything but itself."""
    assert not seen.complaints
    assert {address.partition("#")[0] for address in seen.requests} == {file.as_uri()}
    seen.page.context.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of made-up neurons and the planted one."""
    cards = made_cards.planted(made_cards.made(N))
    return explorer_page.write(tmp_path_factory.mktemp("explorer") / "page.html", cards)


def hostile_cards() -> Cards:
    """The planted neuron, with texts that would do harm wherever one is shown."""
    rows = made_cards.ROWS
    (effect,) = rows["effects"]
    texts = (MARKUP, FORMULA, MARKS, RIGHT_TO_LEFT, "")
    tokens = [
        {**rows["tokens"][0], "rank": rank, "token": text, "script": script}
        for script in ("all", MARKUP)
        for rank, text in enumerate(texts)
    ]
    return made_cards.planted(
        made_cards.made(3),
        neurons=[{**rows["neurons"][0], "best_relation": MARKUP, "best_language": FORMULA}],
        memberships=[
            {**rows["memberships"][1], "name": text, "label": text, "relation": text}
            for text in texts
        ],
        scores=[{**rows["scores"][0], "language": MARKUP, "relation": MARKUP}],
        tokens=tokens,
        scripts=[{"direction": "promoted", "script": MARKUP, "share": 1.0}],
        prompts=[
            {**rows["prompts"][0], "prompt": text, "answer": text, "relation": text}
            for text in texts
        ],
        effects=[{**effect, "fact": MARKUP, "relation": MARKUP, "measured_by": MARKUP}],
        partners=[
            {
                "partner": made_cards.PLANTED,
                "kind": "degenerate",
                "count": 1,
                "expected": None,
                "interaction": 0.5,
                "fact": MARKUP,
                "language": MARKUP,
            }
        ],
        writes=[{**rows["writes"][0], "relation": MARKUP, "language": MARKUP}],
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explorer_page.write(
        tmp_path_factory.mktemp("hostile") / "page.html", hostile_cards(), title=MARKUP
    )


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("token", "zanzi", True),
        ("token", '"Zanzibar"', True),
        ("token", '"Zanzi"', False),
        ("token", "京城", True),  # of a script's own list alone
        ("token", "11.1532", True),
        ("token", "11:1533", False),
        ("relation", "capital", True),
        ("language", "zh", True),
        ("kind", "language_specific", True),
        ("layer", "11", True),
    ],
)
def test_each_filter_finds_the_planted_neuron(
    browser: "playwright.Browser", file: Path, name: str, value: str, passes: bool
) -> None:
    """Positive and negative control: narrowed by its address, it is found or it is not."""
    seen = look(browser, file, f"#{name}={quote(value)}&sort=neuron")
    explore(seen) if passes else seen.until("No neuron")
    everything = "\n".join(seen.addresses())
    if passes and name != "token":
        found = int(seen.count.split(" of ")[1].split()[0])
        assert 1 < found < N + 1
    else:
        assert everything == (PLANTED if passes else "")
    quiet(seen, file)


def test_relation_language_and_kind_hold_of_one_set(
    browser: "playwright.Browser", file: Path
) -> None:
    """The planted neuron is in a set of `capital`, and in one of German, but in none of both."""
    seen = explore(look(browser, file))
    assert seen.count == f"1 to 25 of {N + 1} neurons"
    seen.page.select_option("[name=layer]", "11")
    seen.page.select_option("[name=kind]", "relation")
    for relation, language, there in (("capital", "zh", True), ("capital", "de", False)):
        seen.page.select_option("[name=relation]", relation)
        seen.page.select_option("[name=language]", language)
        seen.page.wait_for_timeout(400)
        assert (PLANTED in seen.addresses()) is there
    assert seen.hash() == "#relation=capital&language=de&kind=relation&layer=11"
    seen.page.click("text=Clear")
    seen.until(f"1 to 25 of {N + 1}")
    assert seen.hash() == ""
    quiet(seen, file)


def test_the_best_rank_is_that_of_the_sets_that_pass(
    browser: "playwright.Browser", file: Path
) -> None:
    """The planted neuron is first in the set of capital in Chinese, and fifth in a fact's."""
    for kind, said in (("relation", "1 capital Chinese"), ("fact", "5 capital French, fact")):
        seen = explore(look(browser, file, f"#relation=capital&kind={kind}&layer=11"))
        rows = seen.page.locator(ROW)
        ranks = [int(text.split()[0]) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
        assert ranks == sorted(ranks)
        assert rows.nth(place(seen)).locator("td:nth-child(3)").inner_text() == said
        quiet(seen, file)


def test_columns_sort_both_ways_and_what_is_missing_comes_last(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = explore(look(browser, file, "#sort=effect"))
    for direction, name in (("ascending", "effect"), ("descending", "-effect")):
        header = seen.page.locator(f"th[aria-sort={direction}]", has_text="Effect alone")
        header.wait_for()
        assert seen.hash() == f"#sort={name}"
        texts = seen.page.locator(f"{ROW} td:nth-child(5)").all_inner_texts()
        values = [float(text.split()[0].replace("−", "-")) for text in texts]
        assert values == sorted(values, reverse=name.startswith("-"))
        header.click()
    quiet(seen, file)


def test_a_card_is_opened_and_closed_by_keyboard(browser: "playwright.Browser", file: Path) -> None:
    seen = explore(look(browser, file))
    seen.page.focus("[name=token]")
    seen.page.keyboard.type("zanzibar")
    seen.until("1 to 1 of 1")
    link = seen.page.locator(f"{ROW} a")
    for _ in range(40):
        if link.evaluate("link => link === document.activeElement"):
            break
        seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Enter")
    seen.page.locator(OPEN_CARD).wait_for()
    assert seen.page.inner_text("#explorer-title") == f"Neuron {PLANTED}"
    assert seen.hash() == "#n=11.1532&token=zanzibar"
    inside = "document.activeElement.closest('dialog') !== null"
    assert seen.page.evaluate(inside)
    for _ in range(12):  # the focus stays inside, or goes to the browser's own controls
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate(f"{inside} || document.activeElement === document.body")
    seen.page.keyboard.press("Escape")
    seen.page.locator(OPEN_CARD).wait_for(state="detached")
    assert link.evaluate("link => link === document.activeElement")
    assert seen.hash() == "#token=zanzibar"
    quiet(seen, file)


def test_an_address_opens_a_card_and_back_closes_it(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = look(browser, file, "#n=11.1532")
    seen.page.locator(OPEN_CARD).wait_for()
    assert seen.page.inner_text("#explorer-title") == f"Neuron {PLANTED}"
    seen.page.keyboard.press("Escape")
    seen.page.locator(OPEN_CARD).wait_for(state="detached")
    explore(seen).page.locator(f"{ROW} >> nth=2").click(position={"x": 300, "y": 10})
    seen.page.locator(OPEN_CARD).wait_for()
    third = seen.page.inner_text("#explorer-title")
    seen.page.click("#explorer-next")
    seen.page.locator("#explorer-title", has_text=seen.addresses()[3]).wait_for()
    seen.page.go_back()
    seen.page.locator("#explorer-title", has_text=third.split()[1]).wait_for()
    seen.page.go_back()
    seen.page.locator(OPEN_CARD).wait_for(state="detached")
    seen.page.evaluate("location.hash = 'n=11.1533'")
    seen.page.locator("#explorer-notice", has_text="no card of neuron “11.1533”").wait_for()
    quiet(seen, file)


def test_the_card_shows_every_known_value(browser: "playwright.Browser", file: Path) -> None:
    seen = look(browser, file, "#n=11.1532")
    seen.page.locator(OPEN_CARD).wait_for()
    seen.page.evaluate(
        "document.querySelectorAll('dialog details').forEach(d => { d.open = true; })"
    )
    said = seen.page.inner_text("#explorer-content")
    for text in (
        *("It is in 3 sets: 1 of relations, 1 of facts, 1 language-specific", "Massive activation"),
        *("capital, Chinese (average precision 0.88)", "−0.38 nats [−0.50, −0.25] on capital"),
        *("␣Zanzibar +4.5", "首都", "京城", "␊ −3.5", "Latin 63 %", "Latin, 63 % of those counted"),
        *("0.94", "0.50", "< 0.001", "法国的首都是", "7.75", "−1.25", "巴黎"),
        *("−0.38 [−0.50, −0.25]", "several facts", "no neuron stands in for it"),
        *("France -> Paris", "1.500", "German", "2.5 | −0.3"),
    ):
        assert text in said, text
    quiet(seen, file)


def test_where_nothing_was_measured_the_card_says_so(
    browser: "playwright.Browser", tmp_path: Path
) -> None:
    nothing = dict.fromkeys(set(made_cards.ROWS) - {"neurons", "memberships"}, ())
    cards = made_cards.planted(made_cards.made(3), **nothing)
    file = explorer_page.write(tmp_path / "page.html", cards)
    seen = look(browser, file, "#n=11.1532")
    seen.page.locator(OPEN_CARD).wait_for()
    assert seen.page.locator("dialog .missing").count() == 5
    assert seen.page.inner_text("#explorer-content").count("Not measured") == 5
    assert "Its effect alone was not measured" in seen.page.inner_text("#explorer-content")
    quiet(seen, file)


def test_a_partner_is_a_link_to_its_card(browser: "playwright.Browser", tmp_path: Path) -> None:
    cards = made_cards.made(3)
    partner = int(cards.neurons["neuron"].iloc[0])
    row = {"partner": partner, "kind": "co_selected", "count": 5, "expected": 1.25}
    cards = made_cards.planted(cards, partners=[row, {**row, "partner": 1}])
    file = explorer_page.write(tmp_path / "page.html", cards)
    seen = look(browser, file, "#n=11.1532")
    links = seen.page.locator("dialog a[data-neuron]")
    links.first.wait_for()
    assert links.count() == 1  # neuron 0:1 has no card
    assert "0:1" in seen.page.inner_text("#explorer-content")
    links.first.click()
    address = f"{partner // made_cards.N_NEURONS}:{partner % made_cards.N_NEURONS}"
    seen.page.locator("#explorer-title", has_text=f"Neuron {address}").wait_for()
    quiet(seen, file)


def exported(seen: Seen, tmp_path: Path) -> list[dict[str, str]]:
    with seen.page.expect_download() as download:
        seen.page.click("text=Download as CSV")
    download.value.save_as(tmp_path / "neurons.csv")
    assert download.value.suggested_filename == "neurons.csv"
    text = (tmp_path / "neurons.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_filtered_table_is_exported(
    browser: "playwright.Browser", file: Path, tmp_path: Path
) -> None:
    seen = explore(look(browser, file, "#layer=11&sort=neuron"))
    rows = exported(seen, tmp_path)
    assert f"of {len(rows)} neurons" in seen.count
    assert {row["layer"] for row in rows} == {"11"}
    (row,) = (row for row in rows if row["neuron"] == PLANTED)
    known = {
        **{"index": "1532", "massive": "true", "mean_activation": "3.25", "n_fact": "1"},
        **{"kinds": "relation fact language_specific", "best_relation": "capital"},
        **{"relations": '["capital"]', "languages": '["de","fr","zh"]', "best_language": "zh"},
        **{"promoted": '[" Zanzibar","首都","京城"]', "effect": "-0.375", "effect_low": "-0.5"},
        **{"rank": "1", "rank_kind": "relation", "rank_relation": "capital", "rank_language": "zh"},
        **{"effect_high": "-0.25", "effect_relation": "capital", "writes_p_value": "0.0005"},
    }
    assert {name: row[name] for name in known} == known
    quiet(seen, file)


def test_hostile_text_stays_text(
    browser: "playwright.Browser", hostile: Path, tmp_path: Path
) -> None:
    """In the table, the card, the filters, the file and the address; nothing runs or is fetched."""
    for policy in (True, False):
        seen = explore(look(browser, hostile, bypass_csp=not policy))
        assert SHOWN in seen.page.inner_text(ROW + f" >> nth={place(seen)}")
        for name in ("relation", "token"):
            seen.page.evaluate(f"location.hash = 'sort=neuron&{name}={quote(MARKUP)}'")
            seen.until("1 to 1 of 1")
            assert (SHOWN if name == "token" else MARKUP) in seen.page.inner_text(ROW)
        assert seen.page.locator("mark.token").inner_text() == SHOWN
        seen.page.evaluate(f"location.hash = 'language={quote(MARKUP)}&n={quote(MARKUP)}'")
        seen.page.locator("#explorer-notice", has_text=MARKUP).wait_for()
        seen.page.evaluate("location.hash = 'n=11.1532'")
        seen.page.locator(OPEN_CARD).wait_for()
        said = seen.page.inner_text("#explorer-content")
        assert said.count(MARKUP) > 10
        assert "U+202E" in said
        assert "␀" in said
        assert "U+00A0" in said
        assert seen.page.locator("img, iframe, dialog script").count() == 0
        seen.page.keyboard.press("Escape")
        quiet(seen, hostile)
    seen = explore(look(browser, hostile))
    (row,) = (row for row in exported(seen, tmp_path) if row["neuron"] == PLANTED)
    assert row["best_relation"] == MARKUP
    assert row["best_language"] == f"'{FORMULA}"
    assert json.loads(row["promoted"])[:3] == [MARKUP, FORMULA, MARKS]
    assert not any(value.startswith(("=", "@", "\t", "\r")) for value in row.values())
    quiet(seen, hostile)


def place(seen: Seen) -> int:
    return seen.addresses().index(PLANTED)


def test_each_text_has_its_own_direction(browser: "playwright.Browser", hostile: Path) -> None:
    seen = look(browser, hostile, "#n=11.1532")
    texts = seen.page.locator("dialog bdi", has_text=RIGHT_TO_LEFT)
    texts.first.wait_for()
    directions = texts.evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
    assert set(directions) == {"rtl"}
    assert len(directions) >= 4
    quiet(seen, hostile)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("address", ["#token=zanz", "#n=11.1532"])
def test_it_fits_and_has_no_serious_fault_of_access(
    browser: "playwright.Browser", file: Path, width: int, theme: str, address: str
) -> None:
    seen = look(
        *(browser, file, address),
        viewport={"width": width, "height": 844},
        color_scheme=theme,
        reduced_motion="reduce",
    )
    seen.page.locator(OPEN_CARD if address.startswith("#n=") else ROW).first.wait_for()
    wide = seen.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    table = seen.page.locator("#explorer-table")
    assert table.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    found = axe.Axe().run(seen.page, options={"resultTypes": ["violations"]}).response
    serious = [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
    assert not serious
    quiet(seen, file)


def test_without_scripts_the_page_says_where_the_tables_are(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = look(browser, file, java_script_enabled=False)
    said = seen.page.locator("#explorer-section noscript")
    assert "data/cards" in said.inner_text()
    assert "neuron-atlas neuron" in said.inner_text()
    assert not seen.page.locator("#explorer-tool").is_visible()
    quiet(seen, file)


def test_how_many_are_left_is_said_to_who_does_not_see_it(
    browser: "playwright.Browser", file: Path
) -> None:
    seen = explore(look(browser, file))
    assert seen.page.get_attribute(".dt-info", "aria-live") == "polite"
    assert seen.page.get_attribute("#explorer-notice", "role") == "status"
    quiet(seen, file)


def test_nothing_is_unpacked_before_it_is_needed(browser: "playwright.Browser", file: Path) -> None:
    seen = look(browser, file, viewport={"width": 1280, "height": 200})
    seen.page.wait_for_timeout(500)
    assert seen.page.locator(ROW).count() == 0
    explore(seen)
    quiet(seen, file)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's page, of made-up results, with the made-up cards."""
    given = replace(results.everything(), cards=made_cards.planted(made_cards.made(N)))
    content = metrics.metrics(given)["summary"]
    text = page.render(given, content, charts.page_charts(given), title="Atlas", top_neurons=3)
    file = tmp_path_factory.mktemp("whole") / "index.html"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("width", [390, 1280])
def test_it_works_within_the_page(browser: "playwright.Browser", whole: Path, width: int) -> None:
    """From the contents to the table, from an address to a card, and on to another section."""
    size = {"width": width, "height": 844}
    seen = look(browser, whole, viewport=size, reduced_motion="reduce")
    seen.page.click("nav a[href='#explorer']")
    seen.page.locator(ROW).first.wait_for()
    assert seen.hash() == "#explorer"
    seen.page.fill("[name=token]", "zanzibar")
    seen.until("1 to 1 of 1")
    seen.page.click(f"{ROW} a")
    seen.page.locator(OPEN_CARD).wait_for()
    box = seen.page.locator(OPEN_CARD).bounding_box()
    assert box is not None
    assert box["x"] + box["width"] == width
    assert (box["y"], box["height"]) == (0, 844)
    seen.page.evaluate("location.hash = 'verdicts'")
    seen.page.locator(OPEN_CARD).wait_for(state="detached")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    quiet(seen, whole)
