"""Greedy text is the model's own, with and without interventions, however it is batched."""

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models

import tiny
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import Prompt, Text, encode
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.generation import greedy
from neuron_atlas.scoring.packing import UNEDITED
from references import overwritten
from repository import ROOT

DECODERS = sorted({"gemma3_text", "gpt2", "gpt_neox", "llama", "qwen3"})
TEXTS = ["a b c", "a b c d", "d e f g h i", "j", "a b k", "z y x w v u t"]
GEMMA = ROOT / "data"


def prompts(lm: LanguageModel) -> list[Prompt]:
    return [encode(lm, text) for text in TEXTS]


@torch.no_grad()
def own_text(lm: LanguageModel, prompt: Prompt, ends_line: Callable[[int], bool]) -> Text:
    """What transformers writes after one prompt, cut as `greedy` says."""
    ids = torch.tensor([prompt.before])
    ends = lm.network.generation_config.eos_token_id
    whole = lm.network.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8, pad_token_id=0
    )
    found: list[int] = []
    for token in whole[0, ids.shape[1] :].tolist():
        if token == ends:
            break
        found.append(token)
        if ends_line(token):
            break
    return tuple(found)


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_transformers_generates(family: str, seed: int) -> None:
    lm = tiny.random_model(family, seed=seed)
    found = greedy(lm, prompts(lm))
    expected = [own_text(lm, p, lambda _: False) for p in prompts(lm)]
    assert [own[0] for own in found] == expected
    assert len(set(expected)) > 1  # positive control: the prompts do differ


@pytest.mark.parametrize("ending", ["\n", ".\n\n", "\r\n"])
def test_a_text_ends_with_its_line_and_before_the_end_of_the_sequence(
    decoder: LanguageModel, ending: str
) -> None:
    asked = prompts(decoder)
    whole = [own[0] for own in greedy(decoder, asked)]
    for cut in ("line", "sequence"):
        last = whole[0][2]
        lm = _ending(decoder, last, ending) if cut == "line" else _stopping(last)
        found = [own[0] for own in greedy(lm, asked)]
        for text, longer in zip(found, whole, strict=True):
            n = longer.index(last) + (cut == "line") if last in longer else len(longer)
            assert text == longer[:n]
        assert len(found[0]) < 8
    nothing = _stopping(whole[0][0])
    assert greedy(nothing, asked)[0] == [()]


def _ending(lm: LanguageModel, token: int, text: str) -> LanguageModel:
    """Return the model with a tokenizer in which a token reads as a text."""
    words = {word: i for word, i in tiny.VOCABULARY.items() if i != token} | {text: token}
    return dataclasses.replace(lm, tokenizer=Tokenizer(models.WordLevel(words, unk_token="[UNK]")))


def _stopping(token: int) -> LanguageModel:
    """Return the decoder with a token that ends the sequence."""
    lm = tiny.random_model("llama")
    lm.network.generation_config.eos_token_id = [token, tiny.EOS]
    return lm


def edits(lm: LanguageModel) -> tuple[ablation.Edits, list[tuple[int, list[int]]]]:
    """Return arms that overwrite five neurons of one layer each, and which."""
    rng = np.random.default_rng(0)
    value = 4 * torch.randn(
        1, lm.n_layers, lm.n_neurons, generator=torch.Generator().manual_seed(1)
    )
    chosen = [(i % lm.n_layers, rng.choice(lm.n_neurons, 5, replace=False)) for i in range(6)]
    sets = [layer * lm.n_neurons + members for layer, members in chosen]
    return ablation.edits_of(sets, value), [(i, list(m)) for i, m in chosen]


@torch.no_grad()
def slow(
    lm: LanguageModel,
    prompt: Prompt,
    edit: tuple[ablation.Edits, tuple[int, list[int]]] | None,
    *,
    everywhere: bool,
) -> Text:
    """One whole forward pass per token, edited from the answer position on."""
    ids, first = list(prompt.before), 0 if everywhere else len(prompt.before) - 1
    while len(ids) < len(prompt.before) + 8:
        with nullcontext() if edit is None else _edited(lm, *edit, first):
            token = int(lm.network(torch.tensor([ids])).logits[0, -1].argmax())
        if token == lm.network.generation_config.eos_token_id:
            break
        ids.append(token)
    return tuple(ids[len(prompt.before) :])


def _edited(lm: LanguageModel, made: ablation.Edits, which: tuple[int, list[int]], first: int):  # type: ignore[no-untyped-def]
    layer, members = which
    module = site_modules(lm, "hidden")[layer][0]
    return overwritten(module, members, made.value[0, layer], slice(first, None))


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("everywhere", [False, True])
def test_under_an_intervention_it_is_that_of_whole_forward_passes(
    family: str, everywhere: bool
) -> None:
    lm = tiny.random_model(family)
    made, chosen = edits(lm)
    asked, arms = prompts(lm), [UNEDITED, *range(len(chosen))]
    found = greedy(
        lm,
        asked,
        arms=[arms] * len(asked),
        intervene=ablation.row_edits(lm, made),
        everywhere=everywhere,
        sequence=24,
    )
    for prompt, texts in zip(asked, found, strict=True):
        expected = [slow(lm, prompt, None, everywhere=everywhere)]
        expected += [slow(lm, prompt, (made, one), everywhere=everywhere) for one in chosen]
        assert texts == expected
    assert any(text != texts[0] for texts in found for text in texts)  # the edits do something


def test_batches_padding_and_the_number_of_arms_do_not_matter(decoder: LanguageModel) -> None:
    made, chosen = edits(decoder)
    run, asked = ablation.row_edits(decoder, made), prompts(decoder)
    every = [UNEDITED, *range(len(chosen))]

    def texts(
        arms: list[int], some: list[Prompt], n_tokens: int, sequence: int
    ) -> list[list[Text]]:
        return greedy(
            decoder,
            some,
            arms=[arms] * len(some),
            intervene=run,
            n_tokens=n_tokens,
            sequence=sequence,
        )

    reference = texts(every, asked, 4096, 192)
    for n_tokens, sequence in ((1, 1), (30, 12), (60, 400)):
        assert texts(every, asked, n_tokens, sequence) == reference
    for i, prompt in enumerate(asked):
        for j, arm in enumerate(every):
            assert texts([arm], [prompt], 4096, 192) == [[reference[i][j]]]
    assert texts(every[::-1], asked[::-1], 4096, 192) == [own[::-1] for own in reference[::-1]]


def test_a_text_that_is_decided_is_written_no_further(decoder: LanguageModel) -> None:
    asked = prompts(decoder)
    whole, told = greedy(decoder, asked), set()

    def enough(i: int, text: Text) -> bool:
        told.add(i)
        return len(text) > i % 3

    short = greedy(decoder, asked, enough=enough)
    assert short == [[own[0][: 1 + i % 3]] for i, own in enumerate(whole)]
    assert told == set(range(len(asked)))
    assert greedy(decoder, asked, length=2) == [[own[0][:2]] for own in whole]


def test_what_writes_no_text_is_refused(decoder: LanguageModel) -> None:
    encoder = tiny.random_model("bert")
    with pytest.raises(ValueError, match="bert is an encoder, which fills masks"):
        greedy(encoder, prompts(encoder))
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        greedy(decoder, prompts(decoder), length=0)


@pytest.mark.slow
@pytest.mark.skipif(
    not ((GEMMA / "model/model.safetensors").exists() and (GEMMA / "recall/en.parquet").exists()),
    reason="needs the results of a finished run in data/",
)
def test_fifty_real_prompts_are_answered_as_by_transformers() -> None:
    lm = language_model.load(GEMMA / "model", device="cpu")
    tables = [pd.read_parquet(GEMMA / f"recall/{name}.parquet") for name in ("en", "de", "zh")]
    some = pd.concat(tables)["prompt"].sample(50, random_state=0)
    asked = [encode(lm, text) for text in some]
    found = greedy(lm, asked)

    def ends_line(token: int) -> bool:
        return "\n" in lm.tokenizer.decode([token], skip_special_tokens=False)

    assert [own[0] for own in found] == [own_text(lm, p, ends_line) for p in asked]
