"""Which kernels multiply matrices and attend: the faster ones, where they lose no precision.

torch's fused attention for CPUs multiplies tile by tile. With oneDNN the overhead of a tile exceeds
its arithmetic, most of all in the backward pass. There, for sequences as short as ours, attention
as plain matrix products is faster.
"""

import os
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask


def choose_matrix_products() -> None:
    """Let oneDNN multiply this process's float32 matrices on AMD processors; else change nothing.

    torch uses MKL, which avoids AVX-512 on AMD, unless "medium" precision is allowed; then it uses
    oneDNN. Under that setting oneDNN rounds to bfloat16 only where the processor has AMX; without
    AMX its products are as exact as MKL's. With a GPU nothing is changed, because the GPU's
    products would be rounded.
    """
    cpu = torch.cpu.get_capabilities()
    amd = "AMD" in str(cpu.get("cpu_name"))
    if amd and not cpu.get("amx_bf16") and not torch.cuda.is_available():
        torch.set_float32_matmul_precision("medium")


def choose_deterministic() -> None:
    """Let a GPU compute alike each time, where torch can; call it before anything runs there.

    Where it cannot (cumulative sums in floating point, the k-th value) torch warns.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        # All is written before it is read.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


NAME = "neuron_atlas"
# What attention may be told besides.
UNHANDLED = ("s_aux", "sinks", "position_bias", "alibi_slopes")


def choose_attention(network: PreTrainedModel) -> None:
    """Let a model use `attend` if it is on a CPU and oneDNN multiplies for it; else change nothing.

    oneDNN multiplies for models in bfloat16, and in float32 if `choose_matrix_products` chose it.
    Families whose attention is a part of their own code, such as BLOOM's, keep it.
    """
    if not network._can_set_attn_implementation():
        return
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
    **settings: Any,
) -> tuple[Float[Tensor, "batch position head value_width"], None]:
    """Return the attention output at each position, computed in float32 or better.

    Heads that share keys and values are rows of one product; nothing is repeated for them. In half
    precision without gradients torch's fused kernel is as fast: it is used, with its own rounding.

    Args:
        module: The attention's module.
        query: Of each head.
        key: Of each group of heads.
        value: Of each group of heads.
        attention_mask: Added to the scores, the products of query and key; None adds nothing.
        scaling: Factor on the scores; by default 1 / sqrt(width).
        softcap: Bound of the scores, which are squashed by tanh; None does not squash.
        **settings: What else a family tells attention: dropout, windows that masks see to.

    Raises:
        ValueError: the family's attention has sinks, or biases of its own.
    """
    if other := sorted(name for name in UNHANDLED if settings.get(name) is not None):
        raise ValueError(
            f"{type(module).__name__} attends with {other}, which this library's attention does "
            "not handle; its family cannot be supported yet"
        )
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
