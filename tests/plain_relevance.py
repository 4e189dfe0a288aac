"""Relevance coefficients by plain tensors: each family's forward pass again, detach by detach.

Attention patterns are taken from the model's own eager attention: they are constants.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from neuron_atlas.attributions.questions import Point
from neuron_atlas.model.language_model import LanguageModel

Block = Callable[[Any, Any, Tensor, Tensor, list[Tensor]], Tensor]


def coefficients(lm: LanguageModel, point: Point) -> tuple[Tensor, Tensor]:
    """Log p(token), and its coefficient for each hidden unit at the answer position."""
    network: Any = copy.deepcopy(lm.network)
    network.set_attn_implementation("eager")
    with torch.no_grad():
        run = network(torch.tensor([point.ids]), output_attentions=True, output_hidden_states=True)
    x = run.hidden_states[0][0].clone().requires_grad_()
    hidden: list[Tensor] = []
    with torch.enable_grad():
        for module, pattern in zip(lm.blocks, run.attentions, strict=True):
            x = BLOCKS[lm.network.config.model_type](
                module, lm.network.config, x, pattern[0], hidden
            )
        norm: Any = lm.ending[0]
        end = (layer_norm if hasattr(norm, "bias") and norm.bias is not None else rms)(norm, x)
        logits = end[point.position] @ lm.head.weight.T
        if lm.head.softcap is not None:
            logits = lm.head.softcap * torch.tanh(logits / lm.head.softcap)
        value = logits.log_softmax(0)[point.token]
        found = torch.autograd.grad(value, hidden)
    return value.detach(), torch.stack([one[point.position] for one in found])


def rms(norm: Any, x: Tensor) -> Tensor:
    eps = getattr(norm, "variance_epsilon", None) or norm.eps
    weight = 1 + norm.weight if type(norm).__name__.startswith("Gemma") else norm.weight
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt().detach() * weight


def layer_norm(norm: Any, x: Tensor) -> Tensor:
    away = x - x.mean(-1, keepdim=True)
    divisor = (away.square().mean(-1, keepdim=True) + norm.eps).sqrt().detach()
    return away / divisor * norm.weight + norm.bias


def activated(name: str, z: Tensor) -> Tensor:
    return z * (ACT2FN[name](z) / z).detach()


def mixed(pattern: Tensor, values: Tensor) -> Tensor:
    """Weigh values [position, head * size] by a constant pattern [head, position, position]."""
    split = values.unflatten(-1, (len(pattern), -1)).transpose(0, 1)
    return (pattern.detach() @ split).transpose(0, 1).flatten(1)


def gated(block: Any, config: Any, x: Tensor, pattern: Tensor, hidden: list[Tensor]) -> Tensor:
    """Llama and its like; Gemma 2 and 3 norm behind attention and MLP too, OLMo 2 there alone."""
    behind = hasattr(block, "post_feedforward_layernorm")
    olmo = config.model_type == "olmo2"
    groups = config.num_attention_heads // config.num_key_value_heads
    seen = x if olmo else rms(block.input_layernorm, x)
    values = block.self_attn.v_proj(seen)
    heads = values.unflatten(-1, (config.num_key_value_heads, -1)).repeat_interleave(groups, 1)
    written = mixed(pattern, heads.flatten(1)) @ block.self_attn.o_proj.weight.T
    x = x + (rms(block.post_attention_layernorm, written) if behind else written)
    before = "pre_feedforward_layernorm" if behind else "post_attention_layernorm"
    read = x if olmo else rms(getattr(block, before), x)
    name = getattr(config, "hidden_activation", None) or config.hidden_act
    gate = activated(name, read @ block.mlp.gate_proj.weight.T)
    up = read @ block.mlp.up_proj.weight.T
    hidden.append((gate * up.detach() + gate.detach() * up) / 2)
    written = hidden[-1] @ block.mlp.down_proj.weight.T
    return x + (rms(block.post_feedforward_layernorm, written) if behind else written)


def gpt2(block: Any, config: Any, x: Tensor, pattern: Tensor, hidden: list[Tensor]) -> Tensor:
    fused = layer_norm(block.ln_1, x) @ block.attn.c_attn.weight + block.attn.c_attn.bias
    values = fused[:, 2 * x.shape[1] :]
    x = x + mixed(pattern, values) @ block.attn.c_proj.weight + block.attn.c_proj.bias
    z = layer_norm(block.ln_2, x) @ block.mlp.c_fc.weight + block.mlp.c_fc.bias
    hidden.append(activated(config.activation_function, z))
    return x + hidden[-1] @ block.mlp.c_proj.weight + block.mlp.c_proj.bias


def gpt_neox(block: Any, config: Any, x: Tensor, pattern: Tensor, hidden: list[Tensor]) -> Tensor:
    attention, mlp = block.attention, block.mlp
    made = attention.query_key_value
    fused = layer_norm(block.input_layernorm, x) @ made.weight.T + made.bias
    values = fused.unflatten(-1, (len(pattern), 3, -1))[:, :, 2].flatten(1)
    written = mixed(pattern, values) @ attention.dense.weight.T + attention.dense.bias
    read = layer_norm(block.post_attention_layernorm, x)
    z = read @ mlp.dense_h_to_4h.weight.T + mlp.dense_h_to_4h.bias
    hidden.append(activated(config.hidden_act, z))
    return x + written + hidden[-1] @ mlp.dense_4h_to_h.weight.T + mlp.dense_4h_to_h.bias


BLOCKS: dict[str, Block] = {
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), gated),
    **dict.fromkeys(("llama", "mistral", "olmo2", "qwen2", "qwen3"), gated),
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
}
