"""The card says in seconds what would be kept of a source, and why the rest is not."""

import json
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from neuron_atlas.commands.app import app
from neuron_atlas.pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]


def prepared(root: Path, rows: list[dict[str, Any]]) -> None:
    texts = {"r": ["The r of {subject} is"], "q": ["The q of {subject}:", "{subject}, q: ____"]}
    (root / "data").mkdir()
    (root / "texts").mkdir()
    for code in ("en", "de"):
        content = {"name": code, "separator": " ", "templates": texts}
        YAML().dump(content, root / "texts" / f"{code}.yaml")
    (root / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = read_yaml(ROOT / "params.yaml") | {"languages": {"en": {}, "de": {}}}
    content["facts"]["max_majority_share"] = 1.0
    YAML().dump(content, root / "params.yaml")


def facts() -> list[dict[str, Any]]:
    return [
        {"relation": relation, "language": code, "subject": f"s{i}", "object": f"o{i % 4}"}
        | {"subject_label": f"Thing {i}", "object_label": f"Answer {i % 4}"}
        for code, relation, i in product(("en", "de"), ("r", "q"), range(12))
    ]


SET = "facts.source=jsonl facts.path=my.jsonl facts.templates=texts"


def linted(changes: str, *more: str, root: Path) -> Result:
    """What `neuron-atlas facts --lint` says; its paths are from the repository's root."""
    words = ["facts", "--lint", "--set", changes, "--data", str(root), *more]
    return CliRunner().invoke(app, words)


def test_a_card_is_printed_without_a_model(tmp_path: Path) -> None:
    rows = facts()
    rows[0]["object_label"] = "An odd name"
    rows[1]["subject_label"] = "\u200b"
    prepared(tmp_path, rows)
    for code in ("en", "de"):
        path = tmp_path / f"texts/{code}.yaml"
        content = read_yaml(path)
        content["templates"]["q"] = ["The q of {subject}:"]
        YAML().dump(content, path)
    said = linted(SET, root=tmp_path).stdout
    assert "labels, without a tokenizer:\n  en: 24 rows read; 22 have nothing odd\n" in said
    assert "    conflict: 1, such as 'Thing 0' - 'An odd name'\n" in said
    assert "    empty_label: 1, such as '' - 'Answer 1'\n" in said
    assert "  q: 12 facts, 4 answers\n    1 templates; The q of Thing" in said
    assert "  notice: 1 facts are left out as conflict" in said
    found = json.loads(linted(SET, "--json", root=tmp_path).stdout)
    assert found["labels"]["en"]["reasons"]["conflict"] == {
        "n": 1,
        "examples": [["Thing 0", "An odd name"]],
    }
    assert found["languages"]["en"]["relations"]["q"]["n_facts"] == 12
    assert not found["with_tokenizer"]


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    prepared(tmp_path, facts())
    said = linted(SET, root=tmp_path)
    assert said.exit_code == 1
    (line,) = said.stderr.splitlines()
    assert "en.yaml: q, paraphrase 2: a literal blank '____'" in line
    unknown = linted("facts.nothing=1", root=tmp_path)
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("error: ")
    assert linted("facts.source='a", root=tmp_path).exit_code == 1


def test_the_built_in_facts_have_a_card() -> None:
    chosen = "~languages +languages={en:{}} facts.relations=[capital,continent]"
    assert "en: " in linted(chosen, root=ROOT).stdout
