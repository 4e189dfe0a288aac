"""Models so small that a test can check them against the slow, obvious computation."""

import copy
from typing import Any

import torch
import transformers as tr
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from neuron_atlas.model.architectures import Architecture
from neuron_atlas.model.families import architecture
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
# Terms on the way through a model, for `rounding`: of each block the longest sum, over its neurons;
# BLOOM's has four times as many as its residual stream is wide. The roundings of the shorter sums
# have either sign and add little.
DEPTH = SMALL["num_hidden_layers"] * 32
# Tokens that a sliding window lets a token see, itself included: fewer than prompts have.
NARROW = 3
WINDOWED = ["full_attention", "sliding_attention", "sliding_attention"]  # two tokens either side
ENDS: dict[str, Any] = {"vocab_size": len(WORDS), "bos_token_id": BOS, "eos_token_id": EOS}
GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_inner": 24}
GROUPED = SMALL | {"num_key_value_heads": 2}
HEADS = GROUPED | {"head_dim": 4}
GEMMA2 = HEADS | {"query_pre_attn_scalar": 9, "attn_logit_softcapping": 2.0}
BLOOM = ENDS | {"hidden_size": 8, "n_layer": 3, "n_head": 2, "initializer_range": 0.5}
NEO = ENDS | {"hidden_size": 16, "num_layers": 3, "num_heads": 4, "intermediate_size": 24}
XGLM = ENDS | {"d_model": 16, "num_layers": 3, "attention_heads": 4, "ffn_dim": 24, "init_std": 0.5}
OPT = {k: v for k, v in SMALL.items() if k not in {"intermediate_size", "initializer_range"}}
OPT |= {"ffn_dim": 24, "init_std": 0.5}
FALCON = {k: v for k, v in SMALL.items() if k != "intermediate_size"} | {"ffn_hidden_size": 24}
ROPE: dict[str, Any] = {"rope_theta": 100.0}
LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
LONG: dict[str, Any] = {
    "rope_type": "longrope",
    "short_factor": [1.5, 2.0],
    "long_factor": [3.0, 4.0],
}
CONFIGS: dict[str, tr.PretrainedConfig] = {
    "bert": tr.BertConfig(**SMALL),
    "bloom": tr.BloomConfig(**BLOOM),
    "distilbert": tr.DistilBertConfig(**SMALL, hidden_dim=24),
    "electra": tr.ElectraConfig(**SMALL, embedding_size=8),
    "falcon": tr.FalconConfig(**FALCON),  # as the 7B model: parallel, one head of keys and values
    "gemma": tr.GemmaConfig(**HEADS),
    "gemma2": tr.Gemma2Config(**GEMMA2, sliding_window=NARROW, final_logit_softcapping=3.0),
    "gemma3_text": tr.Gemma3TextConfig(**SMALL, head_dim=4, num_key_value_heads=2),
    "gpt2": tr.GPT2Config(
        vocab_size=len(WORDS), bos_token_id=BOS, eos_token_id=EOS, initializer_range=0.5, **GPT2
    ),
    "gpt_neo": tr.GPTNeoConfig(
        **NEO,
        attention_types=[[["local"], 1], [["global", "local"], 1]],
        window_size=NARROW,
        initializer_range=0.5,
    ),
    "gpt_neox": tr.GPTNeoXConfig(**SMALL),
    "llama": tr.LlamaConfig(**SMALL),
    "mistral": tr.MistralConfig(**HEADS, sliding_window=NARROW),
    "modernbert": tr.ModernBertConfig(
        **SMALL, cls_token_id=BOS, sep_token_id=EOS, layer_types=WINDOWED, local_attention=4
    ),
    "olmo2": tr.Olmo2Config(**GROUPED),
    "opt": tr.OPTConfig(**OPT),
    "phi3": tr.Phi3Config(
        **GROUPED, sliding_window=NARROW, rope_parameters=ROPE | {"partial_rotary_factor": 0.5}
    ),
    "qwen2": tr.Qwen2Config(
        **GROUPED, use_sliding_window=True, sliding_window=NARROW, max_window_layers=1
    ),
    "qwen3": tr.Qwen3Config(**SMALL, head_dim=4, num_key_value_heads=2),
    "roberta": tr.RobertaConfig(**SMALL | {"pad_token_id": UNK}),
    "xglm": tr.XGLMConfig(**XGLM, pad_token_id=0),
    "xlm-roberta": tr.XLMRobertaConfig(**SMALL | {"pad_token_id": UNK}),  # counts from UNK + 1
}
# Settings with which a family's code takes another path: the family, and what is special.
VARIANTS: dict[str, tr.PretrainedConfig] = {
    "bloom, residual behind the norm": tr.BloomConfig(
        **BLOOM, apply_residual_connection_post_layernorm=True
    ),
    "falcon, ALiBi of RW": tr.FalconConfig(
        **FALCON, alibi=True, multi_query=False, parallel_attn=False, bias=True
    ),
    "falcon, one norm of 11B": tr.FalconConfig(
        **FALCON, new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1
    ),
    "falcon, two norms of 40B": tr.FalconConfig(
        **FALCON, new_decoder_architecture=True, num_kv_heads=2
    ),
    "gemma2, wide window": tr.Gemma2Config(**GEMMA2),
    "gemma3_text, narrow window": tr.Gemma3TextConfig(
        **HEADS, sliding_window=NARROW, layer_types=WINDOWED[::-1]
    ),
    "gpt2, untied head": tr.GPT2Config(
        **ENDS,
        **GPT2,
        initializer_range=0.5,
        tie_word_embeddings=False,
        scale_attn_by_inverse_layer_idx=True,
    ),
    "gpt_neox, one after the other": tr.GPTNeoXConfig(**SMALL, use_parallel_residual=False),
    "llama, scaled rotary of 3": tr.LlamaConfig(**SMALL, rope_parameters=ROPE | LLAMA3),
    "llama, tied head": tr.LlamaConfig(
        **HEADS, tie_word_embeddings=True, mlp_bias=True, attention_bias=True
    ),
    "mistral, no window": tr.MistralConfig(**HEADS, sliding_window=None),
    "opt, no biases of Galactica": tr.OPTConfig(
        **OPT, enable_bias=False, layer_norm_elementwise_affine=False
    ),
    "opt, post-norm of 350m": tr.OPTConfig(
        **OPT, do_layer_norm_before=False, word_embed_proj_dim=8
    ),
    "phi3, long context": tr.Phi3Config(
        **SMALL,
        original_max_position_embeddings=32,
        max_position_embeddings=64,
        rope_parameters=ROPE | LONG,
    ),
    "qwen3, narrow window": tr.Qwen3Config(
        **HEADS, use_sliding_window=True, sliding_window=NARROW, max_window_layers=1
    ),
}
EVERY = sorted(CONFIGS) + sorted(VARIANTS)


def config(name: str) -> tr.PretrainedConfig:
    """Return a copy of the configuration of a family, or of one of its variants."""
    return copy.deepcopy(CONFIGS[name] if name in CONFIGS else VARIANTS[name])


def tokenizer(*, encoder: bool = False) -> Tokenizer:
    """Return a tokenizer with one token per word; `<bos>` first, and `<eos>` last in an encoder."""
    result = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    result.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    result.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>" if encoder else "<bos> $A",
        special_tokens=[("<bos>", BOS), ("<eos>", EOS)],
    )
    return result


def random_network(name: str, *, seed: int = 0) -> tr.PreTrainedModel:
    """Return transformers' own random model of a family in `CONFIGS`, or of a variant."""
    settings = config(name)
    auto = tr.AutoModelForMaskedLM if _row(settings).encoder else tr.AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return auto.from_config(settings).eval().requires_grad_(False)


def random_model(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """Return a random model of a family in `CONFIGS`, or of one of the `VARIANTS`."""
    return wrapped(random_network(name, seed=seed).to(dtype))


def wrapped(network: tr.PreTrainedModel) -> LanguageModel:
    """Return a network as a language model with a tokenizer of one token per word."""
    row = _row(network.config)
    mask_id = MASK if row.encoder else None
    return LanguageModel(network, tokenizer(encoder=row.encoder), row, mask_id)


def _row(settings: tr.PretrainedConfig) -> Architecture:
    return architecture(settings.model_type, settings.to_dict())
