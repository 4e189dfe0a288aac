"""The whole pipeline on one family after another: `model.source` is all that is different.

Every stage's command is run, in order and as it is. What DVC does around them is tested where llama
and bert run (`test_toy_pipeline.py`, `test_encoders.py`), and would take as long again here.
"""

import os
import shlex
from collections.abc import Iterator
from graphlib import TopologicalSorter
from math import isfinite
from pathlib import Path

import pytest
from dvc.repo import Repo

import toy
from neuron_atlas.pipeline import store
from repository import FEWER, copied, run, stages
from saved import save

# Beside llama's and bert's: those whose code is least like theirs. The others run with
# NEURON_ATLAS_SLOW=1.
ALWAYS = ("bloom", "falcon", "gemma2", "opt, post-norm of 350m")
rest = pytest.mark.skipif("NEURON_ATLAS_SLOW" not in os.environ, reason="set NEURON_ATLAS_SLOW=1")
CASES = [
    name if name in ALWAYS else pytest.param(name, marks=[pytest.mark.slow, rest])
    for name in toy.OTHERS
]


def commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each stage's name and what its script is called with, after the stages that it reads."""
    with Repo(str(folder)) as repo:
        graph = repo.index.graph
        for stage in TopologicalSorter(
            {one: graph.successors(one) for one in graph}
        ).static_order():
            script = f"stages/{stage.name.split('@')[0]}.py"
            words = shlex.split(stage.cmd)
            yield stage.name, words[words.index(script) :]


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a package of DVC's
@pytest.mark.parametrize("name", CASES)
def test_every_stage_runs_and_finds_what_was_learnt(name: str, tmp_path: Path) -> None:
    model = save(toy.other(name), tmp_path / "model")
    (tmp_path / "repository").mkdir()
    folder = copied(tmp_path / "repository", model, languages=FEWER)
    done = set()
    for stage, words in commands(folder):
        run(folder, "env", "PYTHONPATH=src", "python", *words)
        done.add(stage.split("@")[0])
    assert done == stages(folder, "dvc.yaml")
    summary = store.read_json(folder / "metrics" / "summary.json")
    assert summary["model"]["architecture"] == toy.OTHERS[name].model_type
    assert len(summary["verdicts"]) == 13
    for code in FEWER:
        known = summary["facts"]["by_language"][code]
        assert known["typed_accuracy"] > 1.5 * known["majority_baseline"]  # it was trained on them
        rows = store.read_table(folder / "data" / "interference" / f"{code}.parquet")
        own = rows[(rows["kind"] == "set") & (rows["relation"] == rows["measured"])]
        assert own["effect"].abs().max() > 0.02  # its neurons act
    assert isfinite(summary["attribution"]["completeness_median"])
    assert summary["attribution"]["completeness_median"] < 0.05
