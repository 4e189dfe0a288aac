"""Nine scripts through the whole pipeline, to a page that shows them as they are read."""

import os
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import toy
from neuron_atlas.pipeline import store
from nine_scripts import CAPITALS, TEXTS, WORDINGS, asked, write
from repository import copied, run, update
from saved import save

pytestmark = pytest.mark.skipif(
    "NEURON_ATLAS_SLOW" not in os.environ, reason="set NEURON_ATLAS_SLOW=1"
)
RIGHT_TO_LEFT = {"ar", "he"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scripts")
    model = root / "model"
    save(toy.decoder(asked(TEXTS), n_steps=300), model)
    (root / "repository").mkdir()
    folder = copied(root / "repository", model, languages=tuple(TEXTS))
    write(folder / "own.jsonl", folder / "texts", wordings=WORDINGS)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    facts = {"source": "jsonl", "path": "own.jsonl", "templates": "texts", "relations": None}
    facts |= {"max_majority_share": 1.0, "min_per_relation": 4, "development_share": 0.2}
    update(params, {"facts": facts, "recall": {"demonstrations": {"blocks": 0}}})
    yaml.dump(params, folder / "params.yaml")
    run(folder, "dvc", "repro")
    return folder


def test_the_planted_facts_are_known_in_every_script(repository: Path) -> None:
    summary = store.read_json(repository / "metrics" / "summary.json")
    known = summary["facts"]["by_language"]
    assert set(known) == set(TEXTS)
    for code, one in known.items():
        assert one["typed_accuracy"] > 0.9, code
        table = store.read_table(repository / "data" / "facts" / f"{code}.parquet")
        assert set(table["answer"]) == set(CAPITALS[code])


def test_the_pages_hold_no_broken_character(repository: Path) -> None:
    for name in ("index.html", "facts.html"):
        text = (repository / "report" / name).read_text(encoding="utf-8")
        assert "\N{REPLACEMENT CHARACTER}" not in text
        assert "\\u" not in text


def test_a_browser_shows_each_example_in_its_direction(repository: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((repository / "report" / "facts.html").as_uri())
        cells = page.eval_on_selector_all(
            "td[dir=auto]",
            "every => every.map(one => [one.closest('section').querySelector('h2').innerText, "
            "getComputedStyle(one).direction, one.innerText])",
        )
        browser.close()
    assert {code for code, _, _ in cells} == set(TEXTS)
    for code, direction, text in cells:
        assert any(city in text for city in CAPITALS[code]), text
        assert direction == ("rtl" if code in RIGHT_TO_LEFT else "ltr"), text
