"""A template with a blank of its own is refused, and told what to write."""

import re
from pathlib import Path

import pytest

from neuron_atlas.pipeline import store
from neuron_atlas.wording import templates
from neuron_atlas.wording.blanks import literal_blank

BLANKS = ["[MASK]", "____", "<mask>", "[Y]", "[mask]", "<extra_id_0>", "_", "＿＿＿", "...", "…",
          "[ ]", "（ ）", "【】", "???", "%s", "□□", "--", "[OBJ]", "<object>", "<|mask|>", "BLANK",
          "( ... )", "......"]  # fmt: skip


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    "text", ["The capital of {{subject}} is {}", "{{subject}} 的首都是{}", "{{subject}}: {} "]
)
def test_a_blank_is_refused(tmp_path: Path, text: str, blank: str) -> None:
    texts = ["Country: {subject}. Capital:", "In {subject} rules", text.format(blank)]
    content = {"name": "English", "separator": " ", "templates": {"capital": texts}}
    store.write_json(tmp_path / "en.yaml", content)  # JSON is YAML too
    found = re.escape(repr(blank))
    message = rf"en.yaml: capital, paraphrase 3: a literal blank {found}.*write {{object}}"
    with pytest.raises(ValueError, match=message):
        templates.load("en", tmp_path, encoder=True)


@pytest.mark.parametrize("code", templates.languages())
def test_no_shipped_template_has_one(code: str) -> None:
    texts = sum(templates.load(code).templates.values(), ())
    assert [t for t in texts if literal_blank(t)] == []


@pytest.mark.parametrize(
    "text",
    ["Where is {subject}?", "<b>{subject}</b> is in", "</style>{subject} has",
     "{subject} (capital):", "e.g. {subject} is in", "{subject} - in",
     "the field country_name of {subject}:", "{subject} [a country] is in", "{subject}——",
     "< {subject}", "{subject} 的首都（{object}）", "5 > {subject}", "{subject}... is in",
     "«{subject}»: 100% in"],
)  # fmt: skip
def test_ordinary_marks_are_no_blanks(text: str) -> None:
    assert literal_blank(text) is None
