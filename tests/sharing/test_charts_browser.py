"""Charts in a real browser: drawn under the policy, from the page alone, in both themes."""

from pathlib import Path

import pytest

from neuron_atlas.pages import charts, shell

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
SPEC = {
    "width": "container",
    "height": 60,
    "autosize": {"type": "fit-x", "contains": "padding"},
    "data": {"values": [{"a": HOSTILE, "b": 1.5}, {"a": "b", "b": -1}]},
    "mark": {"type": "bar", "tooltip": {"content": "data"}},
    "params": [{"name": "least", "value": -2, "bind": {"input": "range", "min": -2, "max": 2}}],
    "transform": [{"filter": "datum.b >= least"}],
    "encoding": {
        "x": {"field": "b", "type": "quantitative"},
        "y": {"field": "a", "type": "nominal"},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = shell.filled("shell.html.j2", scripts=charts.scripts(), title="T")
    body = '<div id="c-choices"></div><div data-chart="c" style="width: 30rem"></div>'
    made = tmp_path / "page.html"
    page = text.replace("<body>", f"<body>{body}{shell.json_block('c', SPEC)}", 1)
    made.write_text(page, encoding="utf-8")
    return made


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chart_is_drawn_under_the_policy(
    browser: "playwright.Browser", file: Path, theme: str
) -> None:
    opened = browser.new_page(color_scheme=theme)
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector(f"[data-drawn={theme}] svg")
    assert "onerror" in (opened.text_content("[data-chart] svg") or "")
    opened.hover("[data-chart] svg .mark-rect path >> nth=0")
    opened.wait_for_selector(".vg-tooltip.visible")
    assert HOSTILE in opened.inner_text(".vg-tooltip")
    assert opened.locator("[data-chart] svg .mark-rect path").count() == 2
    opened.locator("#c-choices input").fill("0")
    opened.wait_for_function("document.querySelectorAll('svg .mark-rect path').length === 1")
    other = "dark" if theme == "light" else "light"
    opened.emulate_media(color_scheme=other)
    opened.wait_for_selector(f"[data-drawn={other}] svg")
    assert opened.locator("#c-choices input").count() == 1
    assert not complaints
    assert requests == [file.as_uri()]
    opened.close()
