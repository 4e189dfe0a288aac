"""A model larger than a device gives what it gives whole, and refuses what would be lost."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import everything
import tiny
from neuron_atlas.devices import choice, running
from neuron_atlas.devices.spreading import DISK, placed
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.value_edits import ValueEdit, applied
from saved import save

FAMILIES = ("llama", "gemma2", "gemma3_text", "gpt2", "opt", "falcon", "bert", "modernbert")
READ_ONLY = [name for name in everything.PARTS if name != "edits"]


def blocks(lm: LanguageModel) -> list[str]:
    return [lm.architecture.block.format(i) for i in range(lm.n_layers)]


def size(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in [*module.parameters(), *module.buffers()])


def room(lm: LanguageModel, n_blocks: float) -> int:
    """Bytes for the embeddings and some blocks."""
    own = size(lm.blocks[0])
    return size(lm.network) - lm.n_layers * own + int(n_blocks * own)


@pytest.fixture(scope="module", params=FAMILIES)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LanguageModel, LanguageModel]:
    """A model in memory, and from the same files with all blocks but one left on the disk."""
    made, folder = tiny.random_model(request.param), tmp_path_factory.mktemp("model")
    save(made, folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(choice.MEMORY, f"cpu={room(made, 2)}")
        spread = language_model.load(folder, device="spread")
    return language_model.load(folder, device="cpu"), spread


def test_what_has_no_room_stays_on_the_disk(pair: tuple[LanguageModel, LanguageModel]) -> None:
    whole, spread = pair
    assert [block_is_away(block) for block in spread.blocks] == [False, True, True]
    assert not any(block_is_away(block) for block in whole.blocks)
    assert spread.devices == [torch.device("cpu")] * 3  # where they run all the same
    assert not spread.head.weight.is_meta


def block_is_away(block: nn.Module) -> bool:
    return all(parameter.is_meta for parameter in block.parameters())


@pytest.mark.parametrize("part", READ_ONLY)
def test_a_model_that_is_partly_on_the_disk_gives_the_same_bits(
    pair: tuple[LanguageModel, LanguageModel], part: str
) -> None:
    assert everything.gap(*pair, part) == 0


def test_no_weights_stay_behind_where_they_were_brought(
    pair: tuple[LanguageModel, LanguageModel],
) -> None:
    everything.extracted(pair[1])  # which ends its runs in the middle
    assert block_is_away(pair[1].blocks[-1])


def test_weights_are_read_from_where_they_are_kept(
    pair: tuple[LanguageModel, LanguageModel],
) -> None:
    whole, spread = (lm.blocks[2].get_submodule(lm.architecture.down) for lm in pair)
    assert torch.equal(running.weight(spread), running.weight(whole))
    assert running.weight(whole) is whole.weight


def test_an_edit_that_would_be_lost_is_refused(pair: tuple[LanguageModel, LanguageModel]) -> None:
    whole, spread = pair
    delta = 3 * everything.random(1, spread.head.weight.shape[1])
    away = ValueEdit(np.array([2 * spread.n_neurons]), delta)
    with pytest.raises(ValueError, match="layer 2 cannot be edited"), applied(spread, away):
        pass
    here = ValueEdit(np.array([1]), delta)
    assert everything.gap(whole, spread, "scoring") == 0
    with applied(spread, here):
        assert everything.gap(whole, spread, "scoring") > 0.001  # positive control: it acts
    assert everything.gap(whole, spread, "scoring") == 0


def test_a_model_that_fits_is_not_spread(tmp_path: Path) -> None:
    save(tiny.random_model("llama"), tmp_path)
    loaded = language_model.load(tmp_path, device="spread")
    assert not any(parameter.is_meta for parameter in loaded.network.parameters())


def test_the_first_device_needs_room_for_the_embeddings_and_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny.random_model("llama")
    save(lm, tmp_path)
    monkeypatch.setenv(choice.MEMORY, f"cpu={room(lm, 1) - 1}")
    with pytest.raises(ValueError, match=r"main memory may hold .* bytes .* expected at least"):
        language_model.load(tmp_path, device="spread")
    monkeypatch.setenv(choice.MEMORY, f"cpu={room(lm, 1)}")
    loaded = language_model.load(tmp_path, device="spread")
    assert all(block_is_away(block) for block in loaded.blocks)


def test_blocks_are_shared_out_evenly_among_gpus_that_have_room() -> None:
    lm = tiny.random_model("llama")
    where = placed(lm.network, blocks(lm), {0: 1 << 30, 1: 1 << 30, "cpu": 1 << 30})
    assert [where[path] for path in blocks(lm)] == [0, 1, 1]  # the embeddings are on the first
    assert where["model.embed_tokens"] == where["lm_head"] == where["model.norm"] == 0


def test_the_embeddings_do_not_go_where_they_have_no_room() -> None:
    lm = tiny.random_model("llama")
    rooms: dict[int | str, int] = {0: room(lm, 0) // 2, 1: 1 << 30, "cpu": 1 << 30}
    with pytest.raises(ValueError, match=r"^GPU 0 may hold .* bytes of weights; expected at least"):
        placed(lm.network, blocks(lm), rooms)


def test_gpus_come_before_main_memory_and_that_before_the_disk() -> None:
    lm = tiny.random_model("llama")
    one = size(lm.blocks[0])
    rooms: dict[int | str, int] = {0: room(lm, 2), "cpu": one}
    where = placed(lm.network, blocks(lm), rooms)
    assert [where[path] for path in blocks(lm)] == [0, "cpu", DISK]
    uneven = placed(lm.network, blocks(lm), {0: room(lm, 2.5), 1: one, "cpu": 0})
    assert [uneven[path] for path in blocks(lm)] == [0, 0, 1]


def test_every_part_of_every_family_has_a_place(lm: LanguageModel) -> None:
    where = placed(lm.network, blocks(lm), {"cpu": 1 << 30})
    for name, _ in [*lm.network.named_parameters(), *lm.network.named_buffers()]:
        assert sum(name == path or name.startswith(f"{path}.") for path in where) == 1, name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", r"one of \['cpu'.*got 'gpu'; it comes from the environment variable"),
        ("cuda:99", "got 'cuda:99'"),
        ("meta", "got 'meta'"),
    ],
)
def test_a_device_that_is_not_there_is_one_error(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choice.DEVICE, name)
    with pytest.raises(ValueError, match=message):
        choice.chosen()


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.DEVICE, "spread")
    assert choice.chosen() == "spread"
    assert choice.chosen("cpu") == "cpu"
    monkeypatch.delenv(choice.DEVICE)
    assert choice.chosen() == choice.chosen("auto") != "auto"


@pytest.mark.parametrize(
    ("value", "message"),
    [("cpu=big", "expected sizes such as 20GiB"), ("77=1GiB", "expected devices among")],
)
def test_memory_that_cannot_be_read_is_one_error(
    value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choice.MEMORY, value)
    with pytest.raises(ValueError, match=message):
        choice.rooms()


def test_memory_is_given_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.MEMORY, " cpu = 3GiB ")
    assert choice.rooms()["cpu"] == 3 << 30


def test_blocks_on_the_disk_are_converted_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny.random_model("llama", dtype=torch.bfloat16)
    save(made, tmp_path)
    monkeypatch.setenv(choice.DEVICE, "spread")
    monkeypatch.setenv(choice.MEMORY, f"cpu={2 * room(made, 2)}")  # float32 takes twice as much
    spread = language_model.load(tmp_path, dtype=torch.float32)
    whole = language_model.load(tmp_path, device="cpu", dtype=torch.float32)
    assert [block_is_away(block) for block in spread.blocks] == [False, True, True]
    assert spread.dtype == torch.float32
    for part in ("scoring", "pushes"):
        assert everything.gap(whole, spread, part) == 0
