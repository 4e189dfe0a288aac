"""A language of which the model knows nothing: it is left out and named, and the run goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neuron_atlas.pipeline import store
from repository import copied, run

LANGUAGES = ("en", "fr", "de")
THIN = "en"  # the first one: no join may rely on it


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, toy_decoder_folder: Path) -> Path:
    """Run the pipeline with a model that answers nothing right in one language."""
    folder = copied(tmp_path_factory.mktemp("thin"), toy_decoder_folder, languages=LANGUAGES)
    script = folder / "stages" / "answers.py"
    text, written = script.read_text(encoding="utf-8"), "    store.write_table("
    wrong = f"    if out.stem == {THIN!r}:\n        scored = scored.assign(correct=False)\n"
    assert text.count(written) == 1
    script.write_text(text.replace(written, wrong + written), encoding="utf-8")
    run(folder, "dvc", "repro")
    return folder


def test_the_language_is_named_where_a_reader_looks(repository: Path) -> None:
    summary = store.read_json(repository / "metrics" / "summary.json")
    assert list(summary["facts"]["left_out"]) == [THIN]
    page = (repository / "report" / "index.html").read_text(encoding="utf-8")
    assert f"<code>{THIN}</code> is left out" in page
    card = (repository / "report" / "facts.html").read_text(encoding="utf-8")
    assert card.count("Notice: left out") == 1


def test_the_others_are_measured_as_ever(repository: Path) -> None:
    summary = store.read_json(repository / "metrics" / "summary.json")
    tested = {claim for claim, one in summary["verdicts"].items() if "effect" in one}
    assert {"amig_beats_baselines", "degenerate_neurons_exist", "cumulativity"} <= tested
    assert set(summary["attribution"]["by_language"]) == set(LANGUAGES) - {THIN}
    for stage in ("interference", "selection", "sufficiency", "selectors"):
        rows = {
            code: len(store.read_table(repository / "data" / stage / f"{code}.parquet"))
            for code in LANGUAGES
        }
        assert [code for code, n in rows.items() if not n] == [THIN], stage


def test_nothing_is_invented_of_the_language(repository: Path) -> None:
    """What stands under its name needs no known fact: the notice, its script, and its own text."""
    summary = store.read_json(repository / "metrics" / "summary.json")
    named = {("facts", "by_language"), ("facts", "left_out"), ("language_neurons", "scripts")}
    assert set(places(summary, THIN)) == named | {("language_specific", "by_language")}
    assert ("attribution", "by_language") in set(places(summary, "fr"))  # positive control
    assert summary["facts"]["by_language"][THIN]["n_known"] == 0
    transfer = store.read_table(repository / "data" / "transfer.parquet")
    assert THIN not in set(transfer["language"])
    assert len(transfer)


def places(value: Any, name: str, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield where in nested mappings a key of this name stands."""
    if isinstance(value, dict):
        for key, content in value.items():
            if key == name:
                yield path
            yield from places(content, name, (*path, key))
