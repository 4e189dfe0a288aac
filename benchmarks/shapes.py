"""Make random models of published shapes, with prompts and tokenizers for us and the peers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers as tr
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from neuron_atlas.attributions.questions import Question
from neuron_atlas.model import kernels
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.slots import OBJECT

SPECIAL = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[MASK]": 3}
MASK, N_TOKENS = "[MASK]", 14
CONFIGS: dict[str, tr.PretrainedConfig] = {"gpt2": tr.GPT2Config(), "bert": tr.BertConfig()}


@dataclass(frozen=True)
class Shape:
    """A random model and prompts of `N_TOKENS` tokens with a one-token answer.

    Attributes:
        lm: The model.
        prompts: With `{mask}` where an encoder answers; the first one is compared with the peers.
        answer: The answer's word and its token id.
    """

    lm: LanguageModel
    prompts: Sequence[str]
    answer: tuple[str, int]

    @property
    def questions(self) -> list[Question]:
        """The prompts as this library asks them."""
        return [Question(p.format(mask=OBJECT), (self.answer[1],)) for p in self.prompts]

    @property
    def peer_prompt(self) -> str:
        """The first prompt as the peers ask it."""
        return self.prompts[0].format(mask=MASK)

    def peer_tokenizer(self) -> tr.PreTrainedTokenizerFast:
        """The same tokenizer, wrapped as the peers expect it."""
        names = dict(
            zip(["unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL, strict=True)
        )
        inputs = ["input_ids", "attention_mask"]
        if self.lm.architecture.encoder:
            inputs.append("token_type_ids")
        wrapping: Any = tr.PreTrainedTokenizerFast
        wrapped: tr.PreTrainedTokenizerFast = wrapping(
            tokenizer_object=self.lm.tokenizer, model_input_names=inputs, **names
        )
        return wrapped


def shape(
    family: str, *, config: tr.PretrainedConfig | None = None, n_prompts: int = 1, seed: int = 0
) -> Shape:
    """Return a random float32 model of a family, by default in its published shape."""
    config, row = copy.deepcopy(config or CONFIGS[family]), architecture(family)
    auto: Any = tr.AutoModelForMaskedLM if row.encoder else tr.AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        network = auto.from_config(config).eval().requires_grad_(False)
    kernels.choose_matrix_products()
    kernels.choose_attention(network)
    words = word_tokenizer(config.vocab_size, encoder=row.encoder)
    lm = LanguageModel(network, words, row, SPECIAL[MASK] if row.encoder else None)
    ids = np.random.default_rng(seed).integers(
        len(SPECIAL), config.vocab_size, (n_prompts, N_TOKENS)
    )
    prompts = [_prompt(some, encoder=row.encoder) for some in ids.tolist()]
    answer = len(SPECIAL)
    return Shape(lm, prompts, (f"w{answer}", answer))


def _prompt(ids: Sequence[int], *, encoder: bool) -> str:
    words = [f"w{i}" for i in ids]
    if encoder:  # two words go to the special tokens and one to the mask
        words = [*words[:6], "{mask}", *words[6:-3]]
    return " ".join(words)


def word_tokenizer(size: int, *, encoder: bool) -> Tokenizer:
    """Return a tokenizer with one token per word."""
    vocabulary = SPECIAL | {f"w{i}": i for i in range(len(SPECIAL), size)}
    result = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    result.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if encoder:
        ends = [(name, SPECIAL[name]) for name in ("[CLS]", "[SEP]")]
        result.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=ends
        )
    return result
