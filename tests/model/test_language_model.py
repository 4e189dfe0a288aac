"""Where a family's neurons are, how a model is loaded, and how text becomes tokens."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM

import tiny
import toy
from neuron_atlas.model import language_model
from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import continuation, encode
from rounding import rounding
from saved import save


def with_tokenizer(lm: LanguageModel, tokenizer: Tokenizer) -> LanguageModel:
    return replace(lm, tokenizer=tokenizer)


@torch.no_grad()
def test_a_loaded_folder_is_the_network_that_was_saved(lm: LanguageModel, tmp_path: Path) -> None:
    loaded = language_model.load(save(lm, tmp_path), device="cpu")
    ids = torch.tensor([loaded.tokenizer.encode("a b c d").ids])
    own = lm.network.config._attn_implementation  # ours differs in last bits
    loaded.network.set_attn_implementation(own)
    assert torch.equal(loaded.network(ids).logits, lm.network(ids).logits)
    assert (loaded.architecture, loaded.mask_id) == (lm.architecture, lm.mask_id)
    assert loaded.dtype == torch.float32
    assert not loaded.network.training
    assert not any(p.requires_grad for p in loaded.network.parameters())


def test_a_loaded_model_keeps_the_precision_in_which_it_was_stored(tmp_path: Path) -> None:
    save(tiny.random_model("llama", dtype=torch.bfloat16), tmp_path)
    assert language_model.load(tmp_path, device="cpu").dtype == torch.bfloat16


def test_a_loaded_tokenizer_neither_pads_nor_truncates(
    decoder: LanguageModel, tmp_path: Path
) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    save(decoder, tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(language_model.load(tmp_path, device="cpu").tokenizer.encode("a b c d").ids) == 5


def test_an_unsupported_family_is_one_error_that_lists_the_supported_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(ValueError, match=r"unsupported architecture 'mamba'.*'bert'.*'qwen3'"):
        language_model.load(tmp_path)


def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config.json does not exist; run `dvc repro model`"):
        language_model.load(tmp_path)


def test_every_family_has_a_tiny_model() -> None:
    assert set(tiny.CONFIGS) == set(ARCHITECTURES)


def test_counts_of_layers_and_neurons(lm: LanguageModel) -> None:
    bloom = lm.network.config.model_type == "bloom"  # four times as wide as the residual stream
    assert (lm.n_layers, lm.n_neurons, len(lm.blocks)) == (3, 32 if bloom else 24, 3)
    assert lm.d_model == (8 if bloom else 16)


@torch.no_grad()
def test_the_hidden_site_is_what_the_down_projection_reads(lm: LanguageModel) -> None:
    for module, is_input in site_modules(lm, "hidden"):
        assert is_input
        assert module(torch.zeros(1, 1, lm.n_neurons)).shape == (1, 1, lm.d_model)


@torch.no_grad()
@pytest.mark.parametrize("site", ["gate", "up", "down"])
def test_raw_sites_are_outputs_of_their_projections(
    lm: LanguageModel, site: language_model.Site
) -> None:
    if site != "down" and getattr(lm.architecture, site) is None:
        with pytest.raises(
            ValueError, match=rf"no neuron site '{site}'; it has \['down', 'hidden'"
        ):
            site_modules(lm, site)
        return
    for module, is_input in site_modules(lm, site):
        assert not is_input
        widths = (lm.n_neurons, lm.d_model) if site == "down" else (lm.d_model, lm.n_neurons)
        assert module(torch.zeros(1, 1, widths[0])).shape == (1, 1, widths[1])


@pytest.mark.parametrize("family", ["modernbert", "phi3"])
def test_a_fused_gate_is_no_site(family: str) -> None:
    """One projection makes gate and up together, so no module puts either out."""
    lm = tiny.random_model(family)
    for site in ("gate", "up"):
        with pytest.raises(ValueError, match=rf"{family} has no neuron site '{site}'; it has"):
            site_modules(lm, site)
    for module, _ in site_modules(lm, "hidden"):
        assert module.in_features == lm.n_neurons  # positive control: not the fused width


@torch.no_grad()
@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_the_head_is_the_model_s_own(family: str) -> None:
    lm, ids = tiny.random_model(family), torch.tensor([[1, 5, 6, 7], [1, 8, 9, 5]])
    body = lm.network.get_submodule(lm.architecture.body)
    weight, bias, softcap = lm.head
    logits = lm.before_head(body(input_ids=ids).last_hidden_state.flatten(0, 1)) @ weight.T
    if bias is not None:
        logits += bias.copy_(torch.linspace(-1, 1, len(bias)))  # in the model as well
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    expected = lm.network(ids).logits.flatten(0, 1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=rounding(expected, tiny.DEPTH))


@torch.no_grad()
@pytest.mark.parametrize(
    "family", sorted(name for name, row in ARCHITECTURES.items() if row.encoder)
)
def test_an_encoder_counts_positions_and_looks_around_by_its_own_rules(family: str) -> None:
    """Whatever the engine pads with: RoBERTa counts from its padding id on, others from 0."""
    lm = tiny.random_model(family)
    ids = torch.tensor([[1, 5, 6, 7, 8, 9, 10, 3, 2]])
    there = torch.ones_like(ids, dtype=torch.bool)
    alone = lm.hidden(ids, torch.zeros_like(ids), there)
    more = torch.zeros(1, 20, dtype=torch.long)
    padded = lm.hidden(
        torch.cat([ids, more], 1), torch.zeros(1, 29, dtype=torch.long), torch.arange(29)[None] < 9
    )
    body = lm.network.get_submodule(lm.architecture.body)
    whole = body(input_ids=ids).last_hidden_state
    torch.testing.assert_close(alone, whole, rtol=0, atol=rounding(whole, tiny.DEPTH))
    torch.testing.assert_close(padded[:, :9], alone, rtol=0, atol=rounding(alone, tiny.DEPTH))


@torch.no_grad()
def test_an_encoder_s_sliding_window_stays_in_force() -> None:
    """Its padding mask leaves the window to the model, so that longer prompts need no refusal."""
    narrow = tiny.random_model("modernbert")
    config = copy.deepcopy(tiny.CONFIGS["modernbert"])
    config.local_attention = 64
    network = AutoModelForMaskedLM.from_config(config).eval()
    network.load_state_dict(narrow.network.state_dict())
    wide = replace(narrow, network=network)
    for length, same in ((3, True), (9, False)):  # the narrow one sees two tokens either side
        ids = torch.arange(5, 5 + length)[None]
        sight = torch.ones_like(ids, dtype=torch.bool)
        found = [lm.hidden(ids, torch.zeros_like(ids), sight) for lm in (narrow, wide)]
        assert torch.allclose(*found, rtol=0, atol=rounding(found[0], tiny.DEPTH)) == same


def test_a_decoder_s_answer_follows_the_prompt(decoder: LanguageModel) -> None:
    a, b = (tiny.VOCABULARY[w] for w in "ab")
    assert encode(decoder, "a b") == ((tiny.BOS, a, b), ())


def test_an_encoder_s_closing_specials_come_after_the_answer() -> None:
    a, b = (tiny.VOCABULARY[w] for w in "ab")
    assert encode(tiny.random_model("bert"), "a b") == ((tiny.BOS, a, b), (tiny.EOS,))


def wordpiece() -> Tokenizer:
    """Like BERT's: pieces of a word, and spaces that leave no trace."""
    result = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=specials, show_progress=False
    )
    return closed(result, trainer)


def sentencepiece() -> Tokenizer:
    """Like XLM-RoBERTa's: a space is a part of the piece behind it."""
    result = Tokenizer(models.Unigram())
    result.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    return closed(result, trainer)


def closed(result: Tokenizer, trainer: Any) -> Tokenizer:
    """Train on the toy facts; put special tokens around every text."""
    table = toy.every_fact()
    result.train_from_iterator(table["prompt"] + table["separator"] + table["answer"], trainer)
    ends = ["[CLS]", "[SEP]"] if result.token_to_id("[CLS]") else ["<s>", "</s>"]
    result.post_processor = processors.TemplateProcessing(
        single=f"{ends[0]} $A {ends[1]}",
        special_tokens=[(end, result.token_to_id(end)) for end in ends],
    )
    return result


@pytest.mark.parametrize("make", [wordpiece, sentencepiece])
@pytest.mark.parametrize(
    ("prompt", "text"),
    [("The capital of Russia is", " Moscow"), ("Pays : Russie. Capitale : «", "Moscou")],
)
def test_an_encoder_s_answer_stands_where_its_masks_would(
    make: Callable[[], Tokenizer], prompt: str, text: str
) -> None:
    lm = with_tokenizer(tiny.random_model("bert"), make())
    before, after = encode(lm, prompt)
    answer = continuation(lm, prompt, text)
    assert [*before, *answer, *after] == lm.tokenizer.encode(prompt + text).ids
    assert len(after) == 1


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
