"""Models of some families that learnt a few real facts in three languages within seconds."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers as tr
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from torch import Tensor

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.facts.fact_table import build
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation, encode
from neuron_atlas.wording import templates

LANGUAGES = ("en", "fr", "de")
RELATIONS = ("capital", "continent", "day_after", "month_after", "script_of_language")
N_TEMPLATES = 3
SPECIALS = ["<pad>", "<bos>", "<eos>", "[MASK]", "<unk>"]
PAD, BOS, EOS, MASK = 0, 1, 2, 3
SMALL: dict[str, Any] = {
    "vocab_size": 700,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "tie_word_embeddings": False,
}
GROUPED = SMALL | {"num_key_value_heads": 2}
GEMMA = GROUPED | {"head_dim": 16}
WINDOW = 8  # tokens: fewer than most prompts have
INIT = {"initializer_range": 0.06}  # learns faster than the usual 0.02
NEO = {k: v for k, v in SMALL.items() if k not in {"num_hidden_layers", "num_attention_heads"}}
OTHERS: dict[str, tr.PretrainedConfig] = {  # by name: families beside the decoder's and encoder's
    "bloom": tr.BloomConfig(**SMALL | INIT, n_layer=2, n_head=4),
    "distilbert": tr.DistilBertConfig(
        **SMALL | INIT, n_layers=2, dim=64, n_heads=4, hidden_dim=128
    ),
    "electra": tr.ElectraConfig(**SMALL | INIT, embedding_size=32),
    "falcon": tr.FalconConfig(
        **SMALL, ffn_hidden_size=128, new_decoder_architecture=True, num_kv_heads=2
    ),
    "falcon, ALiBi of RW": tr.FalconConfig(
        **SMALL, ffn_hidden_size=128, alibi=True, multi_query=False, parallel_attn=False
    ),
    "gemma": tr.GemmaConfig(**GEMMA),
    "gemma2": tr.Gemma2Config(**GEMMA, query_pre_attn_scalar=16, sliding_window=WINDOW),
    "gemma3_text": tr.Gemma3TextConfig(**GEMMA, sliding_window=WINDOW),
    "gpt2": tr.GPT2Config(**SMALL, n_embd=64, n_layer=2, n_head=4, n_inner=128, n_positions=128),
    "gpt_neo": tr.GPTNeoConfig(
        **NEO,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=WINDOW,
    ),
    "gpt_neox": tr.GPTNeoXConfig(**SMALL),
    "mistral": tr.MistralConfig(**GROUPED, sliding_window=WINDOW),
    "modernbert": tr.ModernBertConfig(**SMALL | INIT, cls_token_id=BOS, sep_token_id=EOS),
    "olmo2": tr.Olmo2Config(**GROUPED),
    "opt, post-norm of 350m": tr.OPTConfig(
        **SMALL, ffn_dim=128, do_layer_norm_before=False, word_embed_proj_dim=32, init_std=0.12
    ),
    "opt": tr.OPTConfig(**SMALL, ffn_dim=128),
    "phi3": tr.Phi3Config(**GROUPED, sliding_window=WINDOW),
    "qwen2": tr.Qwen2Config(**GROUPED),
    "qwen3": tr.Qwen3Config(**GROUPED, head_dim=16),
    "roberta": tr.RobertaConfig(**SMALL | INIT),
    "xglm": tr.XGLMConfig(
        **NEO, d_model=64, num_layers=2, attention_heads=4, ffn_dim=128, init_std=0.06
    ),
    "xlm-roberta": tr.XLMRobertaConfig(**SMALL | INIT),
}
DEPTH = SMALL["num_hidden_layers"] * SMALL["intermediate_size"]  # as in `tiny`
Example = tuple[list[int], list[int]]  # token ids, and labels that are -100 where nothing is asked


@cache
def fact_table(language: str) -> pd.DataFrame:
    """Return about 50 facts of `RELATIONS` in three paraphrases each."""
    limits = Limits(max_per_relation=12, max_candidates=12, max_majority_share=0.5)
    found, _ = builtin.build(language, RELATIONS, limits=limits, development_share=0.3, seed=0)
    texts = templates.load(language)
    chosen = {r: texts.templates[r][:N_TEMPLATES] for r in RELATIONS}
    return build(found, chosen, separator=texts.separator)


def every_fact() -> pd.DataFrame:
    """Return the facts of all languages."""
    return pd.concat([fact_table(code) for code in LANGUAGES], ignore_index=True)


def tokenizer(table: pd.DataFrame | None = None, *, encoder: bool = False) -> Tokenizer:
    """Train a byte-level BPE on the facts; `<bos>` in front, and `<eos>` behind in an encoder."""
    table = every_fact() if table is None else table
    result = Tokenizer(tokenizer_models.BPE())
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SMALL["vocab_size"],
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    result.train_from_iterator(table["prompt"] + table["separator"] + table["answer"], trainer)
    result.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>" if encoder else "<bos> $A",
        special_tokens=[("<bos>", BOS), ("<eos>", EOS)],
    )
    return result


def decoder(table: pd.DataFrame | None = None, *, n_steps: int = 90) -> LanguageModel:
    """Train a two-layer llama to continue every prompt with its answer."""
    return _trained(tr.LlamaForCausalLM, tr.LlamaConfig(**SMALL), table=table, n_steps=n_steps)


def encoder() -> LanguageModel:
    """Train a two-layer bert to fill every answer's masks."""
    return _trained(tr.BertForMaskedLM, tr.BertConfig(**SMALL | INIT), n_steps=120, rate=5e-3)


def other(name: str) -> LanguageModel:
    """Train a two-layer model of `OTHERS`."""
    config = copy.deepcopy(OTHERS[name])
    if architecture(config.model_type).encoder:
        return _trained(tr.AutoModelForMaskedLM.from_config, config, n_steps=180, rate=5e-3)
    return _trained(tr.AutoModelForCausalLM.from_config, config, n_steps=120, rate=5e-3)


def restored(folder: Path) -> LanguageModel:
    """Return a model that was trained here and saved, as it was before."""
    config = tr.AutoConfig.from_pretrained(folder)
    row = architecture(config.model_type)
    network = (tr.BertForMaskedLM if row.encoder else tr.LlamaForCausalLM).from_pretrained(folder)
    network.eval().requires_grad_(False)
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return LanguageModel(network, words, row, MASK if row.encoder else None)


def _trained(
    kind: Callable[[Any], tr.PreTrainedModel],
    config: Any,
    *,
    n_steps: int,
    table: pd.DataFrame | None = None,
    rate: float = 4e-3,
) -> LanguageModel:
    table = every_fact() if table is None else table
    row = architecture(config.model_type, config.to_dict())
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = kind(config)
    words = tokenizer(table, encoder=row.encoder)
    lm = LanguageModel(network, words, row, MASK if row.encoder else None)
    examples = [_example(lm, r) for r in table.to_dict("records")]
    _fit(network, examples, n_steps=n_steps, rate=rate)
    network.eval().requires_grad_(False)
    return lm


def _example(lm: LanguageModel, row: dict[Any, Any]) -> Example:
    before, after = encode(lm, row["prompt"])
    answer = continuation(lm, row["prompt"], row["separator"] + row["answer"])
    asked = [MASK] * len(answer) if lm.architecture.encoder else answer
    labels = [-100] * len(before) + list(answer) + [-100] * len(after)
    return [*before, *asked, *after], labels


def _fit(
    network: tr.PreTrainedModel, examples: Sequence[Example], *, n_steps: int, rate: float
) -> None:
    """Minimise the loss of the answers' tokens; dropout is off, so the result is seeded."""
    network.eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    for step, (ids, labels) in enumerate(islice(_batches(examples, size=96), n_steps)):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * (1 - step / n_steps)
        visible = (ids != PAD).long()
        network(input_ids=ids, attention_mask=visible, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def _batches(examples: Sequence[Example], *, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in cycle([0]):
        order = torch.randperm(len(examples), generator=generator)
        for part in order.split(size):
            batch = [examples[i] for i in part.tolist()]
            width = max(len(ids) for ids, _ in batch)
            yield (
                torch.tensor([ids + [PAD] * (width - len(ids)) for ids, _ in batch]),
                torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in batch]),
            )
