"""The notebook: it runs on a small model, and the page is a run of it."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import run_notebook

from neuron_atlas.verdicts.verdict import Word

ROOT = Path(__file__).parents[1]
PAGE = run_notebook.PAGE.read_text(encoding="utf-8")
WORDS = get_args(Word)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)


def tables(page: str) -> list[pd.DataFrame]:
    """The tables on a page that stand outside of code."""
    found = TABLE.findall(re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    return [_table(text) for text in found]


def _table(text: str) -> pd.DataFrame:
    head, _, *rows = text.strip().splitlines()
    lines = [line.strip("| ").replace(" | ", "\t") for line in (head, *rows)]
    return pd.read_csv(io.StringIO("\n".join(lines)), sep="\t", quoting=3)


@pytest.fixture(scope="module")
def shown(toy_decoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[pd.DataFrame]:
    """The tables that the notebook shows on a model that learnt these very facts."""
    out = tmp_path_factory.mktemp("notebook") / "page.md"
    words = ["--model", str(toy_decoder_folder), "--facts", "12", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/run_notebook.py"), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tables(out.read_text(encoding="utf-8"))


def test_it_says_what_the_model_knows(shown: list[pd.DataFrame]) -> None:
    model, _, known, recorded = shown[:4]
    assert model[["layers", "neurons per layer"]].to_numpy().tolist() == [[2, 128]]
    assert (known["right"] > known["majority"]).all()
    assert recorded["values per prompt"].tolist() == [256]


def test_neurons_of_a_relation_are_better_than_those_of_prompts_at_random(
    shown: list[pd.DataFrame],
) -> None:
    best = shown[5].set_index("group")["best AP"]
    at_random = best.pop("prompts at random, 20 times")
    assert len(best) == 3
    assert (best > at_random).all()


def test_sets_are_of_twenty_and_compared_with_random_ones(shown: list[pd.DataFrame]) -> None:
    shared = shown[6].set_index("shared neurons").to_numpy()
    assert (shared.diagonal() == 20).all()
    assert (shared == shared.T).all()
    for table in (shown[8], shown[10]):
        assert (table["least"] <= table["without random ones"]).all()
        assert (table["without random ones"] <= table["most"]).all()
        excess = table["without the set"] - table["without random ones"]
        assert (table["excess"] - excess).abs().max() < 0.016  # three numbers of two digits


def test_the_end_is_a_word_that_fits_its_numbers(shown: list[pd.DataFrame]) -> None:
    last = shown[-1]
    assert set(last["word"]) <= set(WORDS)
    blind = last["word"] == "untestable"
    assert (last.loc[blind, "minimal detectable"] >= 0.08).all()
    assert (last["low"] <= last["excess"]).all()
    assert (last["excess"] <= last["high"]).all()


def test_the_page_is_a_run_of_the_notebook() -> None:
    """Its prose and code stand there in their order, and every table that it shows on any model."""
    place = 0
    for part in run_notebook.parts([None] * len(run_notebook.cells())):
        found = PAGE.find(part.strip(), place)
        assert found >= 0, f"run `make notebook`: the page lacks\n{part}"
        place = found + len(part.strip())
    assert len(tables(PAGE)) == 12


def test_a_changed_cell_is_seen() -> None:
    parts = list(run_notebook.parts([None] * len(run_notebook.cells())))
    code = [part for part in parts if part.startswith("```python")]
    assert len(code) > 10
    assert all(re.search(r"\n```$", part) for part in code)
    assert not any("return (" in part.splitlines()[-2] for part in code)
    assert code[1].strip() in PAGE
    assert code[1].strip().replace("\n```", "x\n```") not in PAGE


def test_a_table_s_cells_may_hold_bars() -> None:
    assert run_notebook.table(pd.DataFrame({"a": ["b|c"], "d": [1]})) == (
        "| a | d |\n| --- | --- |\n| b\\|c | 1 |"
    )
