"""Where a family's neurons are, how a model is loaded, and how text becomes tokens."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models

import tiny
import toy
from neuron_atlas import model
from neuron_atlas.model import ARCHITECTURES, LanguageModel, continuation, encode, site_modules
from saved import save


def with_tokenizer(lm: LanguageModel, tokenizer: Tokenizer) -> LanguageModel:
    return replace(lm, tokenizer=tokenizer)


@torch.no_grad()
def test_a_loaded_folder_is_the_network_that_was_saved(lm: LanguageModel, tmp_path: Path) -> None:
    loaded = model.load(save(lm, tmp_path), device="cpu")
    ids = torch.tensor([loaded.tokenizer.encode("a b c d").ids])
    assert torch.equal(loaded.network(ids).logits, lm.network(ids).logits)
    assert (loaded.architecture, loaded.mask_id) == (lm.architecture, lm.mask_id)
    assert loaded.dtype == torch.float32
    assert not loaded.network.training
    assert not any(p.requires_grad for p in loaded.network.parameters())


def test_a_loaded_model_keeps_the_precision_in_which_it_was_stored(tmp_path: Path) -> None:
    save(tiny.random_model("llama", dtype=torch.bfloat16), tmp_path)
    assert model.load(tmp_path, device="cpu").dtype == torch.bfloat16


def test_a_loaded_tokenizer_neither_pads_nor_truncates(
    decoder: LanguageModel, tmp_path: Path
) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    save(decoder, tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(model.load(tmp_path, device="cpu").tokenizer.encode("a b c d").ids) == 5


def test_an_unsupported_family_is_one_error_that_lists_the_supported_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "opt"}))
    with pytest.raises(ValueError, match=r"unsupported architecture 'opt'.*'bert'.*'qwen3'"):
        model.load(tmp_path)


def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config.json does not exist; run `dvc repro model`"):
        model.load(tmp_path)


def test_every_family_has_a_tiny_model() -> None:
    assert set(tiny.CONFIGS) == set(ARCHITECTURES)


def test_counts_of_layers_and_neurons(lm: LanguageModel) -> None:
    assert (lm.n_layers, lm.n_neurons, len(lm.blocks)) == (3, 24, 3)


@torch.no_grad()
def test_the_hidden_site_is_what_the_down_projection_reads(lm: LanguageModel) -> None:
    for module, is_input in site_modules(lm, "hidden"):
        assert is_input
        assert module(torch.zeros(1, 1, lm.n_neurons)).shape == (1, 1, 16)


@torch.no_grad()
@pytest.mark.parametrize(("site", "width"), [("gate", 24), ("up", 24), ("down", 16)])
def test_raw_sites_are_outputs_of_their_projections(
    lm: LanguageModel, site: model.Site, width: int
) -> None:
    if site == "gate" and lm.architecture.gate is None:
        with pytest.raises(ValueError, match=r"no neuron site 'gate'; it has \['down', 'hidden'"):
            site_modules(lm, site)
        return
    for module, is_input in site_modules(lm, site):
        assert not is_input
        given = torch.zeros(1, 1, 24 if site == "down" else 16)
        assert module(given).shape == (1, 1, width)


def test_a_decoder_s_answer_follows_the_prompt(decoder: LanguageModel) -> None:
    a, b = (tiny.VOCABULARY[w] for w in "ab")
    assert encode(decoder, "a b") == ((tiny.BOS, a, b), ())


def test_an_encoder_s_closing_specials_come_after_the_answer() -> None:
    a, b = (tiny.VOCABULARY[w] for w in "ab")
    assert encode(tiny.random_model("bert"), "a b") == ((tiny.BOS, a, b), (tiny.EOS,))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("The capital of Russia is", " Moscow"),
        ("Country: Russia. Capital:", " Moscow"),
        ("Pays : Russie. Capitale : «", "Moscou"),
        ("x", " y z"),
    ],
)
def test_prompt_and_continuation_are_the_text_tokenised_at_once(
    decoder: LanguageModel, prompt: str, text: str
) -> None:
    lm = with_tokenizer(decoder, toy.tokenizer())
    found = (*encode(lm, prompt).before, *continuation(lm, prompt, text))
    assert found == encode(lm, prompt + text).before
    assert lm.tokenizer.decode(found) == prompt + text


def test_the_leading_space_and_the_case_of_an_answer_are_kept(decoder: LanguageModel) -> None:
    lm = with_tokenizer(decoder, toy.tokenizer())
    prompt = "The capital of Russia is"
    spellings = [" Moscow", "Moscow", " moscow"]
    found = [continuation(lm, prompt, s) for s in spellings]
    assert [lm.tokenizer.decode(list(ids)) for ids in found] == spellings
    assert len(set(found)) == 3


def test_an_answer_that_would_merge_with_the_prompt_is_tokenised_alone(
    decoder: LanguageModel,
) -> None:
    merging = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    assert merging.encode("ab").ids == [2]  # positive control: the seam does merge
    assert continuation(with_tokenizer(decoder, merging), "a", "b") == (1,)


@pytest.mark.parametrize("text", ["", " "])
def test_an_answer_without_tokens_is_an_error(decoder: LanguageModel, text: str) -> None:
    with pytest.raises(ValueError, match=r"the answer '.*' to the prompt 'a b' has no tokens"):
        continuation(decoder, "a b", text)


def test_a_prompt_longer_than_the_sliding_window_is_refused() -> None:
    """The explicit masks of packed sequences take the place of the model's own window."""
    lm = tiny.random_model("gemma3_text")
    ids = torch.zeros(1, 5000, dtype=torch.long)
    sight = torch.ones(1, 1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="attention window of 4096"):
        lm.hidden(ids, torch.arange(5000)[None], sight)
