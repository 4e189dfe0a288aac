"""Each mistake in params.yaml ends in one clear line, before a model is loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neuron_atlas import store

ROOT = Path(__file__).parents[1]
MISTAKES = [
    ("  zh: {}", "  xx: {}", "no templates for ['xx']; available: ['de', 'en'"),
    ("    - capital\n", "    - capitol\n", "capitol"),
    ("  k: 100 ", "  k: 36864 ", "relation_neurons.k must be in [1, 18432]"),
    ("  k: 100 ", "  k: 0 ", "relation_neurons.k: Input should be greater than or equal to 1"),
    ("  shots: 2 ", "  shots: 30 ", "leaves 8 to show"),
    ("  pooling: answer", "  pooling: last", "activations.pooling: Input should be 'answer'"),
    ("  max_facts: 8 ", "  max_fact: 8 ", "interference.max_facts: Field required"),
    ("  site: hidden", "  site: gate", "the MLP of gpt2 has no gate"),
    ("  pooling: answer", "  pooling: mean", "needs activations.pooling 'answer'"),
    ("  paraphrases: 3", "  paraphrases: 9", "fewer than 9 paraphrases"),
    ("  negligible: 0.05", "  negligible: -1.0", "effects.negligible"),
    ("  dtype: bfloat16", "  dtype: int8", "model.dtype: Input should be 'bfloat16'"),
]


def check(folder: Path, params: str) -> subprocess.CompletedProcess[str]:
    """Run the stage on a model of which only the provenance exists."""
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    family = {"model_type": "gpt2", "gate": None}
    provenance = {"n_layers": 18, "n_neurons": 2048, "architecture": family}
    store.write_json(folder / "data" / "model" / "provenance.json", provenance)
    command = [sys.executable, str(ROOT / "stages" / "check.py"), "data/model", "data/check.json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_is_one_clear_line(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert right in shipped
    found = check(tmp_path, shipped.replace(right, wrong, 1))
    assert found.returncode == 1
    assert message in found.stderr
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "data" / "check.json").exists()


def test_the_shipped_parameters_pass_and_give_a_constant(tmp_path: Path) -> None:
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert check(tmp_path, shipped).returncode == 0
    first = (tmp_path / "data" / "check.json").read_bytes()
    shutil.rmtree(tmp_path / "data")
    assert check(tmp_path, shipped.replace("  k: 100 ", "  k: 200 ", 1)).returncode == 0
    assert (tmp_path / "data" / "check.json").read_bytes() == first
