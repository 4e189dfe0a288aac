"""Models so small that a test can check them against the slow, obvious computation."""

import copy
from typing import Any

import torch
import transformers as tr
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from neuron_atlas.model.architectures import architecture
from neuron_atlas.model.language_model import LanguageModel

WORDS = ["<pad>", "<bos>", "<eos>", "[MASK]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]
VOCABULARY = {word: i for i, word in enumerate(WORDS)}
BOS, EOS, MASK, UNK = 1, 2, 3, 4

SMALL: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "pad_token_id": 0,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "initializer_range": 0.5,
}
# Terms on the way through a model, for `rounding`: of each block the longest sum, over its neurons.
# The roundings of the shorter sums have either sign and add little.
DEPTH = SMALL["num_hidden_layers"] * SMALL["intermediate_size"]
WINDOWED = ["full_attention", "sliding_attention", "sliding_attention"]  # two tokens either side
GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_inner": 24}
CONFIGS: dict[str, tr.PretrainedConfig] = {
    "bert": tr.BertConfig(**SMALL),
    "distilbert": tr.DistilBertConfig(**SMALL, hidden_dim=24),
    "gemma3_text": tr.Gemma3TextConfig(**SMALL, head_dim=4, num_key_value_heads=2),
    "gpt2": tr.GPT2Config(
        vocab_size=len(WORDS), bos_token_id=BOS, eos_token_id=EOS, initializer_range=0.5, **GPT2
    ),
    "gpt_neox": tr.GPTNeoXConfig(**SMALL),
    "llama": tr.LlamaConfig(**SMALL),
    "modernbert": tr.ModernBertConfig(
        **SMALL, cls_token_id=BOS, sep_token_id=EOS, layer_types=WINDOWED, local_attention=4
    ),
    "qwen3": tr.Qwen3Config(**SMALL, head_dim=4, num_key_value_heads=2),
    "xlm-roberta": tr.XLMRobertaConfig(**SMALL | {"pad_token_id": UNK}),  # counts from UNK + 1
}


def tokenizer(*, encoder: bool = False) -> Tokenizer:
    """Return a tokenizer with one token per word; `<bos>` first, and `<eos>` last in an encoder."""
    result = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    result.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    result.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>" if encoder else "<bos> $A",
        special_tokens=[("<bos>", BOS), ("<eos>", EOS)],
    )
    return result


def random_model(
    family: str, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """Return a random model of a family in `CONFIGS`."""
    row = architecture(family)
    auto = tr.AutoModelForMaskedLM if row.encoder else tr.AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        network = auto.from_config(copy.deepcopy(CONFIGS[family]))
    network = network.to(dtype).eval().requires_grad_(False)
    mask_id = MASK if row.encoder else None
    return LanguageModel(network, tokenizer(encoder=row.encoder), row, mask_id)
