"""The shell: data are text, scripts run by their hash alone, the same values give the same page."""

import base64
import gzip
import hashlib
import json
from html.parser import HTMLParser

import pytest

from neuron_atlas.pages import charts, shell

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 & \"'"


class Scripts(HTMLParser):
    """Collects the attributes and the text of each script, and the policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.found:
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.lasttag = ""


def page(*scripts: shell.Script) -> str:
    return shell.filled("shell.html.j2", scripts=scripts, title="T")


def test_a_page_without_scripts_lets_none_run() -> None:
    assert "script-src 'none'" in Scripts(page()).policy
    assert "default-src 'none'" in Scripts(page()).policy


def test_each_script_is_admitted_by_the_hash_of_its_text_as_a_browser_reads_it() -> None:
    given = [shell.Script("const a = 1 < 2 && 3;\n"), shell.Script("var b", "classic")]
    found = Scripts(page(*given))
    assert [text for _, text in found.found] == [one.text for one in given]
    assert [attributes for attributes, _ in found.found] == [{"type": "module"}, {}]
    for one in given:
        digest = base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found.policy
    assert "unsafe-inline'; img-src" in found.policy
    assert "unsafe" not in found.policy.split("script-src")[1].split(";")[0]


@pytest.mark.parametrize("text", ["a</script>", "<!-- a", "a\r\nb", "'<SCRIPT>'", "\0"])
def test_a_script_that_a_browser_would_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a script in a page cannot hold"):
        shell.Script(text)


def test_data_in_a_block_are_no_markup_and_come_back_as_they_were() -> None:
    value = {"a": [HOSTILE, 1.5, None]}
    text = str(shell.json_block("d", value))
    [(attributes, inside)] = Scripts(text).found
    assert attributes == {"type": "application/json", "id": "d"}
    assert json.loads(inside) == value
    assert text.count("<") == 2


def test_large_data_come_back_as_they_were_and_always_as_the_same_text() -> None:
    content = HOSTILE.encode() * 1000
    text = shell.packed_block("d", content)
    [(_, inside)] = Scripts(str(text)).found
    assert gzip.decompress(base64.b64decode(inside)) == content
    assert len(text) < len(content) / 10
    assert shell.packed_block("d", content) == text


def test_an_id_is_escaped_too() -> None:
    assert "<b>" not in shell.json_block('"><b>', 1)


def test_a_value_that_no_template_names_is_refused() -> None:
    with pytest.raises(Exception, match="title"):
        shell.filled("shell.html.j2")


def test_the_library_of_charts_is_a_script_that_names_its_licences() -> None:
    text = charts.vega().text
    assert text.startswith("/*!")
    for word in ("University of Washington", "Mike Bostock", "NEGLIGENCE", "atlasVega"):
        assert word in text
    charts.vega.cache_clear()
    assert charts.vega().text == text
