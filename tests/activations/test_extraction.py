"""Extraction equals one unpadded pass per prompt, and what is stored is what was extracted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import tiny
from neuron_atlas.activations import extraction, files
from neuron_atlas.activations.extraction import Pooling, Reading, extract, reading
from neuron_atlas.activations.files import LayerWriter, read_layer
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, Site, site_modules
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import prompt_choice
from rounding import rounding

# A prompt, and its subject "b c" in characters.
PROMPTS = [("a b c d", (2, 5)), ("b c", (0, 3)), ("e f g h i b c j", (10, 13)), ("b c k", (0, 3))]
POOLINGS: list[Pooling] = ["answer", "mean", "subject"]


def readings(lm: LanguageModel, pooling: Pooling) -> list[Reading]:
    return [reading(lm, prompt, subject, pooling) for prompt, subject in PROMPTS]


def extracted(lm: LanguageModel, asked: list[Reading], **options: object) -> Tensor:
    """Put the batches together, [prompt, layer, neuron]."""
    parts = list(extract(lm, asked, **options))
    places = np.concatenate([p for p, _ in parts])
    assert sorted(places) == list(range(len(asked)))  # every prompt once
    return torch.cat([v for _, v in parts])[np.argsort(places)]


@torch.no_grad()
def plain(lm: LanguageModel, prompt: str, subject: tuple[int, int], pooling: Pooling) -> Tensor:
    """The obvious way: the words by hand, one whole forward, [layer, neuron]."""
    words = [tiny.VOCABULARY[w] for w in prompt.split()]
    closing = [lm.mask_id, tiny.EOS] if lm.architecture.encoder else []
    ids = [tiny.BOS, *words, *closing]
    first = 1 + len(prompt[: subject[0]].split())
    where = {
        "answer": [ids.index(tiny.MASK) if lm.architecture.encoder else len(ids) - 1],
        "mean": list(range(len(ids))),
        "subject": [first, first + 1],
    }[pooling]
    seen: list[Tensor] = []
    handles = [
        block.get_submodule(lm.architecture.down).register_forward_pre_hook(
            lambda _, args: seen.append(args[0][0])
        )
        for block in lm.blocks
    ]
    lm.network(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return torch.stack([x[where].double().mean(0) for x in seen])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_batched_extraction_equals_one_unpadded_forward_a_prompt(
    lm: LanguageModel, pooling: Pooling
) -> None:
    found = extracted(lm, readings(lm, pooling)).double()
    expected = torch.stack([plain(lm, p, s, pooling) for p, s in PROMPTS])
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding(expected, tiny.DEPTH))
    assert (expected[0] - expected[2]).abs().max() > 0.01  # positive control: prompts differ


def test_the_pooling_positions_differ(lm: LanguageModel) -> None:
    """Positive control: each pooling reads something else."""
    a, m, s = (extracted(lm, readings(lm, p))[0] for p in POOLINGS)
    assert min((a - m).abs().max(), (a - s).abs().max(), (m - s).abs().max()) > 0.01


@pytest.mark.parametrize("n_tokens", [1, 10])  # by default all are one batch
@pytest.mark.parametrize("pooling", POOLINGS)
def test_batch_size_does_not_matter(lm: LanguageModel, pooling: Pooling, n_tokens: int) -> None:
    asked = readings(lm, pooling) * 3
    reference = extracted(lm, asked)
    found = extracted(lm, asked, n_tokens=n_tokens)
    torch.testing.assert_close(found, reference, rtol=0, atol=rounding(reference, tiny.DEPTH))


@pytest.mark.parametrize("site", ["hidden", "up"])
def test_the_last_layer_s_mlp_sees_only_the_positions_that_are_read(
    decoder: LanguageModel, site: Site
) -> None:
    up = [(block.get_submodule(str(decoder.architecture.up)), False) for block in decoder.blocks]
    down = decoder.blocks[-1].get_submodule(decoder.architecture.down)
    asked = readings(decoder, "answer")
    with hooks.record(up) as made, hooks.record([(down, False)]) as left:
        extracted(decoder, asked, site=site)
    assert len(made[decoder.n_layers - 1][0]) == len(asked)
    assert made[0].shape[:2].numel() >= sum(len(r.ids) for r in asked)  # positive control
    assert not left


def test_an_encoder_is_read_at_the_mask_before_the_closing_specials() -> None:
    ids = reading(tiny.random_model("bert"), "a b", (0, 1), "answer")
    a, b = (tiny.VOCABULARY[w] for w in "ab")
    assert ids == Reading((tiny.BOS, a, b, tiny.MASK, tiny.EOS), (3,))


def test_a_decoder_is_read_at_the_last_prompt_token(decoder: LanguageModel) -> None:
    assert reading(decoder, "a b", (0, 1), "answer").where == (2,)


def test_a_subject_without_tokens_is_an_error(decoder: LanguageModel) -> None:
    with pytest.raises(ValueError, match=r"no token of 'a b' overlaps .* \(1, 2\)"):
        reading(decoder, "a b", (1, 2), "subject")


@pytest.mark.parametrize(("site", "width"), [("gate", 24), ("up", 24), ("down", 16)])
def test_raw_sites_are_read_too(decoder: LanguageModel, site: Site, width: int) -> None:
    asked = readings(decoder, "answer")
    found = extracted(decoder, asked, site=site)
    assert found.shape == (len(asked), decoder.n_layers, width)
    with hooks.record(site_modules(decoder, site)) as values:
        decoder.network(torch.tensor([asked[0].ids]))
    expected = torch.stack([values[i][0, -1] for i in range(decoder.n_layers)])
    torch.testing.assert_close(found[0], expected, rtol=0, atol=rounding(expected, tiny.DEPTH))


def test_values_keep_the_model_s_precision() -> None:
    lm = tiny.random_model("llama", dtype=torch.bfloat16)
    for pooling in POOLINGS:
        assert extracted(lm, readings(lm, pooling)).dtype == torch.bfloat16


def test_a_value_that_is_not_finite_names_its_layer_and_prompt() -> None:
    lm = tiny.random_model("llama")
    up = lm.blocks[1].mlp.up_proj.weight
    lm.network.model.embed_tokens.weight[tiny.VOCABULARY["k"]] = 1e30  # only the last prompt
    up.mul_(1e38)
    asked = readings(lm, "answer")
    with pytest.raises(ValueError, match=r"layer 1 are NaN or infinite for prompt \d; try model"):
        extracted(lm, asked)
    up.zero_()
    lm.network.model.embed_tokens.weight[tiny.VOCABULARY["k"]] = torch.nan
    with pytest.raises(ValueError, match=r"layer 0 are NaN or infinite for prompt 3"):
        extracted(lm, asked)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_layer_s_file_is_what_safetensors_would_write(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.randn(7, 3, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    writer = LayerWriter(tmp_path, shape=(7, 3, 10), dtype=dtype, journal=tmp_path / "journal")
    for part in (np.array([6, 0, 2]), np.array([1]), np.array([5, 4, 3])):  # in any order
        writer.write(part, values[part])
    writer.close()
    for layer in range(3):
        path = tmp_path / files.file_name(layer)
        assert torch.equal(read_layer(tmp_path, layer), values[:, layer])
        expected = {files.NAME: values[:, layer].contiguous()}
        save_file(expected, tmp_path / "expected", metadata={"axes": "prompt neuron"})
        for name in (path, tmp_path / "expected"):
            with safe_open(name, framework="pt") as file:
                assert file.metadata() == {"axes": "prompt neuron"}
                assert list(file.keys()) == [files.NAME]
                assert torch.equal(file.get_tensor(files.NAME), values[:, layer])


def test_reading_a_layer_opens_only_its_file(tmp_path: Path) -> None:
    shape, journal = (2, 3, 4), tmp_path / "journal"
    writer = LayerWriter(tmp_path, shape=shape, dtype=torch.float32, journal=journal)
    writer.write(np.array([0, 1]), torch.ones(2, 3, 4))
    writer.close()
    for layer in (0, 2):
        (tmp_path / files.file_name(layer)).write_bytes(b"not safetensors")
    assert read_layer(tmp_path, 1).sum() == 8
    (tmp_path / files.file_name(1)).unlink()
    with pytest.raises(ValueError, match=r"layer_001.safetensors does not exist; run `dvc repro`"):
        read_layer(tmp_path, 1)


def prompt_table() -> pd.DataFrame:
    prompts, spans = zip(*PROMPTS, strict=True)
    return pd.DataFrame(
        {
            "fact": ["r:1", "r:2", "q:1", "q:2"],
            "relation": ["r", "r", "q", "q"],
            "subject": ["1", "2", "1", "2"],
            "split": "held_out",
            "answer_split": "held_out",
            "template_role": "select",
            "template": [0, 1, 0, 1],
            "correct": [True, True, False, True],
            "known": [True, True, False, True],
            "prompt": prompts,
            "subject_start": [a for a, _ in spans],
            "subject_end": [b for _, b in spans],
        }
    )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_folder_holds_the_values_and_their_prompts(
    decoder: LanguageModel, tmp_path: Path, pooling: Pooling
) -> None:
    table, out, place = prompt_table(), tmp_path / "en", tmp_path / "work"
    extraction.save(decoder, table, out, site="hidden", pooling=pooling, place=place)
    expected = extracted(decoder, readings(decoder, pooling))
    for layer in range(decoder.n_layers):
        assert torch.equal(read_layer(out, layer), expected[:, layer])
    index = files.read_index(out)
    assert index.equals(table[files.INDEX_COLUMNS])
    assert not (place / "values").exists()
    assert {p.name for p in out.iterdir()} == {
        *(files.file_name(i) for i in range(decoder.n_layers)),
        *(files.INDEX, files.META),
    }


class Killed(BaseException):
    """Stands for the end of the process."""


def saved_until(
    lm: LanguageModel, out: Path, monkeypatch: pytest.MonkeyPatch, *, stop: int
) -> list[list[int]]:
    """Save with one prompt per batch, killed after batch `stop`; return the batches that ran."""
    ran: list[list[int]] = []
    whole = extraction._values

    def watched(*words: Any) -> Tensor:
        values = whole(*words)
        ran.append(extraction._places(words[-1]).tolist())
        if len(ran) > stop:
            raise Killed
        return values

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_values", watched)
        patch.setattr(extraction, "SEQUENCE", 0)  # none shares its beginning with another
        place = out.parent / "work"
        extraction.save(
            lm, prompt_table(), out, site="hidden", pooling="answer", place=place, n_tokens=1
        )
    return ran[1:]  # the first one is run for its shape


@pytest.mark.parametrize("n_done", range(len(PROMPTS)))
def test_a_killed_extraction_goes_on_with_the_batch_in_flight(
    decoder: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_done: int
) -> None:
    all_batches = saved_until(decoder, tmp_path / "whole" / "en", monkeypatch, stop=99)
    assert len(all_batches) == len(PROMPTS)
    out = tmp_path / "killed" / "en"
    with pytest.raises(Killed):
        saved_until(decoder, out, monkeypatch, stop=1 + n_done)
    assert not out.exists()
    assert saved_until(decoder, out, monkeypatch, stop=99) == all_batches[n_done:]
    assert contents(out) == contents(tmp_path / "whole" / "en")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_batch_that_was_harmed_since_runs_again(
    decoder: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut, which may keep the journal and lose what it speaks of."""
    all_batches = saved_until(decoder, tmp_path / "whole" / "en", monkeypatch, stop=99)
    out = tmp_path / "killed" / "en"
    with pytest.raises(Killed):
        saved_until(decoder, out, monkeypatch, stop=4)  # three batches are in the files
    file = tmp_path / "killed" / "work" / "values" / files.file_name(1)
    content = bytearray(file.read_bytes())
    width = decoder.n_neurons * decoder.dtype.itemsize
    place = len(content) - (len(PROMPTS) - all_batches[1][0]) * width
    content[place] ^= 1
    file.write_bytes(content)
    with (tmp_path / "killed" / "work" / "journal").open("ab") as journal:
        journal.write(b"\xff\x00 torn")
    assert saved_until(decoder, out, monkeypatch, stop=99) == [all_batches[1], all_batches[3]]
    assert contents(out) == contents(tmp_path / "whole" / "en")


def test_a_failed_extraction_leaves_no_result(tmp_path: Path) -> None:
    lm, out = tiny.random_model("llama"), tmp_path / "data" / "en"
    lm.network.model.embed_tokens.weight.fill_(torch.nan)
    place = tmp_path / "work"
    with pytest.raises(ValueError, match="NaN"):
        extraction.save(lm, prompt_table(), out, site="hidden", pooling="answer", place=place)
    assert not out.parent.exists()


def test_only_facts_that_are_answered_right_are_recorded() -> None:
    table = prompt_table()
    assert prompt_choice.answered_prompts(table)["fact"].tolist() == ["r:1", "r:2", "q:2"]
    assert prompt_choice.answered_prompts(table.assign(correct=False)).empty


def test_a_language_that_knows_nothing_has_files_without_prompts(tmp_path: Path) -> None:
    lm, out = tiny.random_model("llama"), tmp_path / "data" / "en"
    none = prompt_table().head(0)
    extraction.save(lm, none, out, site="hidden", pooling="answer", place=tmp_path / "work")
    recorded = files.Recorded(out, none)
    assert recorded.index.empty
    assert recorded.layer(0).shape == (0, lm.n_neurons)
    assert recorded.n_layers == lm.n_layers


def test_an_index_without_its_columns_is_an_error(tmp_path: Path) -> None:
    store.write_table(tmp_path / files.INDEX, prompt_table()[["fact"]])
    with pytest.raises(ValueError, match=r"lacks the columns \['correct', 'relation'"):
        files.read_index(tmp_path)
