"""On a GPU all gives what it gives on the CPU, to the tolerances of `docs/howto/gpu.md`."""

from pathlib import Path

import pytest
import torch
from torch import nn

import everything
import tiny
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from saved import save

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
    pytest.mark.filterwarnings("ignore:.*deterministic:UserWarning"),
]
PARTS = sorted(everything.PARTS)
FLOAT32, BFLOAT16 = 1e-3, 0.5  # largest difference from the CPU; the values are of size 1 to 30
IN_BFLOAT16 = ("attribution", "extraction", "scoring")  # what a search decides may differ


def size(module: nn.Module) -> int:
    return sum(x.numel() * x.element_size() for x in [*module.parameters(), *module.buffers()])


def on_both(folder: Path, dtype: torch.dtype) -> tuple[LanguageModel, LanguageModel]:
    cpu, gpu = (language_model.load(folder, device=d, dtype=dtype) for d in ("cpu", "cuda"))
    assert gpu.device.type == "cuda"
    return cpu, gpu


@pytest.fixture(scope="module", params=sorted(tiny.CONFIGS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny.random_model(request.param), tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("part", PARTS)
def test_a_gpu_gives_what_the_cpu_gives(folder: Path, part: str) -> None:
    assert everything.gap(*on_both(folder, torch.float32), part) < FLOAT32


@pytest.mark.parametrize("part", IN_BFLOAT16)
def test_a_gpu_gives_what_the_cpu_gives_in_bfloat16(folder: Path, part: str) -> None:
    assert everything.gap(*on_both(folder, torch.bfloat16), part) < BFLOAT16


@pytest.mark.parametrize("part", PARTS)
def test_a_gpu_gives_the_same_bits_each_time(folder: Path, part: str) -> None:
    _, gpu = on_both(folder, torch.float32)
    assert everything.gap(gpu, gpu, part) == 0


def test_auto_is_the_gpu(folder: Path) -> None:
    assert language_model.load(folder, device="auto").device.type == "cuda"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="torch finds no two GPUs here")
@pytest.mark.parametrize("part", PARTS)
def test_a_model_over_all_gpus_gives_what_one_gives(folder: Path, part: str) -> None:
    spread = language_model.load(folder, device="spread")
    assert len(set(spread.devices)) > 1
    assert everything.gap(language_model.load(folder, device="cuda"), spread, part) < FLOAT32


@pytest.mark.parametrize("part", [name for name in PARTS if name != "edits"])
def test_a_model_that_is_mostly_kept_in_main_memory_gives_the_same(
    folder: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = language_model.load(folder, device="cuda")
    blocks, every = sum(map(size, whole.blocks)), size(whole.network)
    monkeypatch.setenv("NEURON_ATLAS_MEMORY", f"0={every - blocks // 3}")
    spread = language_model.load(folder, device="spread")
    assert any(p.is_meta for p in spread.network.parameters())
    assert everything.gap(whole, spread, part) < FLOAT32
