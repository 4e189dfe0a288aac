"""The whole pipeline on one family after another: `model.source` is all that is different."""

import json
import os
from math import isfinite
from pathlib import Path

import pytest

import toy
from neuron_atlas.pipeline import store
from repository import FEWER, copied, run, stages
from saved import save

# Beside llama's and bert's, which have tests of their own: those whose code is least like theirs.
# The others run with NEURON_ATLAS_SLOW=1.
ALWAYS = ("bloom", "falcon", "gemma2", "opt, post-norm of 350m")
rest = pytest.mark.skipif("NEURON_ATLAS_SLOW" not in os.environ, reason="set NEURON_ATLAS_SLOW=1")
CASES = [
    name if name in ALWAYS else pytest.param(name, marks=[pytest.mark.slow, rest])
    for name in toy.OTHERS
]


@pytest.mark.parametrize("name", CASES)
def test_the_pipeline_runs_whole_and_stays_idle(name: str, tmp_path: Path) -> None:
    model = save(toy.other(name), tmp_path / "model")
    (tmp_path / "repository").mkdir()
    folder = copied(tmp_path / "repository", model, languages=FEWER)
    run(folder, "dvc", "repro")
    assert stages(folder, "dvc.lock") == stages(folder, "dvc.yaml")
    assert json.loads(run(folder, "dvc", "status", "--json")) == {}
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
