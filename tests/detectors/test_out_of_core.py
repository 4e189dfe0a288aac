"""Neurons are scored from more values than there is memory for, with the same result."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scoring_in_blocks
from neuron_atlas.activations.files import LayerWriter, layer_shape, read_block, read_layer
from neuron_atlas.activations.neuron_blocks import BYTES, STEP, neuron_blocks
from neuron_atlas.detectors import block_precision
from scoring_in_blocks import SIZE

LIMIT = SIZE // 4
ROOT = Path(__file__).parents[2]
needs_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the limit is one of Linux"
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("values") / "en"
    scoring_in_blocks.record(folder)
    assert sum(f.stat().st_size for f in folder.glob("layer_*")) > 4 * LIMIT
    return folder


def scored(folder: Path, how: str, limit: int) -> subprocess.CompletedProcess[str]:
    """Score in a process of its own."""
    script = [sys.executable, scoring_in_blocks.__file__, str(folder), how, str(limit)]
    places = os.pathsep.join(str(ROOT / name) for name in ("src", "tests", "benchmarks"))
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    return subprocess.run(
        script,
        env=os.environ | threads | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@needs_linux
def test_four_times_the_memory_is_scored_and_the_numbers_are_the_same(recorded: Path) -> None:
    within = scored(recorded, "blocks", LIMIT)
    assert within.returncode == 0, within.stderr
    free = scored(recorded, "layers", 0)
    assert free.returncode == 0, free.stderr
    assert within.stdout == free.stdout


@needs_linux
@pytest.mark.parametrize("how", ["whole", "layers"])
def test_the_limit_is_one_that_whole_layers_exceed(recorded: Path, how: str) -> None:
    beyond = scored(recorded, how, LIMIT)
    assert beyond.returncode != 0
    assert "memory" in beyond.stderr.lower()


def test_blocks_cover_a_layer_once_and_are_as_large_as_memory_allows() -> None:
    assert list(neuron_blocks(1000, 2048)) == [slice(0, 2048)]
    for n_prompts, n_neurons in ((27_000, 11_008), (1_000_000, 1000), (0, 7)):
        found = list(neuron_blocks(n_prompts, n_neurons))
        assert [i for one in found for i in range(one.start, one.stop)] == list(range(n_neurons))
        width = found[0].stop
        assert width <= STEP or width * 8 * n_prompts <= BYTES


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_block_is_a_part_of_its_layer(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.randn(5, 2, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    writer = LayerWriter(tmp_path / "v", shape=(5, 2, 9), dtype=dtype, journal=tmp_path / "j")
    writer.write(np.arange(5), values)
    writer.close()
    rows = np.array([4, 0, 2])
    for layer in range(2):
        assert layer_shape(tmp_path / "v", layer) == (5, 9)
        part = read_block(tmp_path / "v", layer, rows, slice(3, 7))
        assert part.dtype == dtype
        assert torch.equal(part, read_layer(tmp_path / "v", layer)[rows][:, 3:7])
    with pytest.raises(ValueError, match=r"layer_002\.safetensors does not exist"):
        read_block(tmp_path / "v", 2, rows, slice(0, 1))


def test_sorting_counts_what_comparing_counts() -> None:
    """With ties."""
    rng = np.random.default_rng(0)
    values = rng.integers(4, size=(60, 30)).astype(np.float32)
    own = values[10:40]
    for kind in (np.uint8, np.int32):
        slow = (own[None] >= values[:, None]).sum(1)
        assert (block_precision._by_comparing(values, own, kind) == slow).all()
        assert (block_precision._Ranked.of(values).at_or_above(own, kind) == slow).all()
