"""Every part of the library on a model whose blocks are on two devices; see `second_device`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import everything
from second_device import LAST_FETCHED, LAST_THERE, WAYS

SCRIPT = Path(__file__).parents[1] / "second_device.py"
# Without falcon, at which PyTorch fails on a device that Python makes: "func != nullptr".
FAMILIES = ("llama", "gemma2", "gemma3_text", "gpt2", "opt", "bert", "modernbert")
# Where gradients are added in another order; elsewhere the bits are the same.
ROUNDING = {"attribution": 1e-4, "comparison of methods": 1e-4, "fitted edits": 1e-4}


@pytest.fixture(scope="module")
def gaps() -> dict[str, Any]:
    """How far each part is off, by family and way of spreading."""
    command = [sys.executable, str(SCRIPT), *FAMILIES]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=paths)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_blocks_are_where_they_were_put(gaps: dict[str, Any], family: str) -> None:
    assert gaps[f"{family}: {LAST_THERE}: devices"] == ["cpu", "far:0", "far:0"]
    assert gaps[f"{family}: {LAST_FETCHED}: devices"] == ["far:0", "far:0", "far:0"]


@pytest.mark.parametrize("part", [name for name in everything.PARTS if name != "edits"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_devices_give_what_one_gives(
    gaps: dict[str, Any], family: str, way: str, part: str
) -> None:
    gap = gaps[f"{family}: {way}: {part}"]
    assert isinstance(gap, float), gap
    assert gap <= ROUNDING.get(part, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_edited_where_they_are_and_refused_where_they_are_fetched(
    gaps: dict[str, Any], family: str
) -> None:
    assert gaps[f"{family}: {LAST_THERE}: edits"] == 0
    assert "layer 2 cannot be edited" in str(gaps[f"{family}: {LAST_FETCHED}: edits"])
