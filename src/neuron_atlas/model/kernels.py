"""How a process multiplies and attends: plain products where they are faster and lose nothing.

torch's fused attention for CPUs multiplies tile by tile. Where oneDNN does that, each tile costs
more than what it computes, backwards most of all; there, for the short sequences that are asked
here, attention by plain products is faster.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask


def choose_products() -> None:
    """Give the process's float32 products to oneDNN on AMD processors; leave others as they are.

    torch gives them to MKL, which does without AVX-512 on such a processor, and to oneDNN only
    where "medium" precision will do. But it takes AMX for oneDNN to make use of that and round to
    bfloat16; without it the products are as exact as MKL's. Where there is a GPU nothing is
    changed, because its products would be rounded.
    """
    cpu = torch.cpu.get_capabilities()
    amd = "AMD" in str(cpu.get("cpu_name"))
    if amd and not cpu.get("amx_bf16") and not torch.cuda.is_available():
        torch.set_float32_matmul_precision("medium")


NAME = "neuron_atlas"


def choose_attention(network: PreTrainedModel) -> None:
    """Give a model on a CPU whose products are oneDNN's the attention below; leave others theirs.

    These are models in bfloat16, and in float32 where `choose_products` has it so.
    """
    onednn = network.dtype != torch.float32 or torch.get_float32_matmul_precision() != "highest"
    if network.device.type == "cpu" and onednn:
        network.set_attn_implementation(NAME)


def attend(
    module: nn.Module,
    query: Float[Tensor, "batch head position width"],
    key: Float[Tensor, "batch group other width"],
    value: Float[Tensor, "batch group other value_width"],
    attention_mask: Float[Tensor, "#batch #head position other"] | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    **_settings: Any,
) -> tuple[Float[Tensor, "batch position head value_width"], None]:
    """Return what each position attends to, computed in float32 at least.

    Heads that share keys and values are rows of one product; nothing is repeated for them. Where no
    gradient is wanted in half precision the fused kernel is as fast, and keeps its own rounding.

    Args:
        module: The attention's module.
        query: Of each head.
        key: Of each group of heads.
        value: Of each group of heads.
        attention_mask: Added to the products of query and key; None adds nothing.
        scaling: Factor on these products; by default 1 / sqrt(width).
        softcap: Squashes them, where a family does so.
    """
    exact = torch.promote_types(query.dtype, torch.float32)
    if query.dtype != exact and softcap is None and not torch.is_grad_enabled():
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=False
        )
    n_batch, n_heads, n_positions, width = query.shape
    n_groups, n_others = key.shape[1:3]
    scale = width**-0.5 if scaling is None else scaling
    rows = query.to(exact).reshape(n_batch * n_groups, -1, width) * scale
    keys, values = (x.to(exact).reshape(n_batch * n_groups, n_others, -1) for x in (key, value))
    scores = torch.bmm(rows, keys.transpose(1, 2)).view(n_batch, n_heads, n_positions, n_others)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1).view(n_batch * n_groups, -1, n_others)
    found = torch.bmm(weights, values).view(n_batch, n_heads, n_positions, -1)
    return found.transpose(1, 2).to(query.dtype), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)
