"""Where the model families keep their MLP neurons: one row of module paths per family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Site = Literal["hidden", "gate", "up", "down"]  # which values are neurons


@dataclass(frozen=True)
class Windows:
    """Which keys of a configuration say that a layer sees only so many tokens back.

    Attributes:
        size: Key of the window's length in tokens, the own one included; absent or None for none.
        kinds: Key of each layer's kind of attention; None where every layer has the window.
        kind: The kind that has it.
    """

    size: str = "sliding_window"
    kinds: str | None = "layer_types"
    kind: str = "sliding_attention"


@dataclass(frozen=True)
class Architecture:
    """Module paths of one model family; those below `block` are relative to the block.

    Attributes:
        body: Everything below the language-modelling head.
        block: Path of layer `{}`.
        down: The down-projection; its input is the vector of hidden units.
        up: The up-projection; its output is multiplied by the gate's, or activated in a plain MLP.
            None where one projection makes both up and gate.
        gate: The gate projection of a gated MLP; None in a plain one.
        gate_up: One projection that makes first the gate and then what it is multiplied with.
        down_norm: What norms the down-projection's output before it is added to the residual.
        sum_norm: What norms the sum of the two: the layer norm of a post-norm block.
        attention_end: The last module of an encoder's attention: behind it a block treats every
            position by itself, and all that goes on is among its arguments. None where the residual
            bypasses it, as in ModernBERT.
        ending: What comes between the last block and the body's output, in order.
        transform: What comes between the body and the output embeddings, in order: module paths, or
            names of activation functions that are not modules of the model.
        encoder: True for masked language models, whose answer position is the mask.
        windows: A decoder's sliding windows; None for a family that has none. An encoder sees to
            its own.
        alibi: How a decoder's blocks are told of ALiBi's biases: as the argument `alibi`, or in
            the mask. None for a family without.
        behind_padding: Positions are counted from the one behind the padding token's id.
        own_mask: A buffer with which a block's attention hides tokens by their place in the
            sequence, beside the mask that it is given.
    """

    body: str
    block: str
    down: str
    up: str | None = None
    gate: str | None = None
    gate_up: str | None = None
    down_norm: str | None = None
    sum_norm: str | None = None
    attention_end: str | None = None
    ending: tuple[str, ...] = ()
    transform: tuple[str, ...] = ()
    encoder: bool = False
    windows: Windows | None = None
    alibi: Literal["argument", "mask"] | None = None
    behind_padding: bool = False
    own_mask: str | None = None


_LLAMA = Architecture(
    body="model",
    block="model.layers.{}",
    down="mlp.down_proj",
    up="mlp.up_proj",
    gate="mlp.gate_proj",
    ending=("model.norm",),
)
_GEMMA_2 = replace(_LLAMA, down_norm="post_feedforward_layernorm", windows=Windows())
_QWEN = replace(_LLAMA, windows=Windows())
_BERT = Architecture(
    body="bert",
    block="bert.encoder.layer.{}",
    down="output.dense",
    up="intermediate.dense",
    sum_norm="output.LayerNorm",
    attention_end="attention.output",
    transform=("cls.predictions.transform",),
    encoder=True,
)
_ROBERTA = replace(
    _BERT,
    body="roberta",
    block="roberta.encoder.layer.{}",
    transform=("lm_head.dense", "gelu", "lm_head.layer_norm"),
    behind_padding=True,
)
_GPT_2 = Architecture(
    body="transformer",
    block="transformer.h.{}",
    down="mlp.c_proj",
    up="mlp.c_fc",
    ending=("transformer.ln_f",),
)
_FALCON = replace(_GPT_2, down="mlp.dense_4h_to_h", up="mlp.dense_h_to_4h", alibi="mask")
_XGLM = Architecture(
    body="model", block="model.layers.{}", down="fc2", up="fc1", ending=("model.layer_norm",)
)
_OPT = replace(
    _XGLM,
    body="model.decoder",
    block="model.decoder.layers.{}",
    ending=("model.decoder.final_layer_norm",),
)
ARCHITECTURES: dict[str, Architecture] = {
    "bert": _BERT,
    "bloom": replace(_FALCON, alibi="argument"),
    "distilbert": Architecture(
        body="distilbert",
        block="distilbert.transformer.layer.{}",
        down="ffn.lin2",
        up="ffn.lin1",
        sum_norm="output_layer_norm",
        attention_end="sa_layer_norm",
        transform=("vocab_transform", "activation", "vocab_layer_norm"),
        encoder=True,
    ),
    "electra": replace(
        _BERT,
        body="electra",
        block="electra.encoder.layer.{}",
        transform=("generator_predictions",),
    ),
    "falcon": _FALCON,
    "gemma": _LLAMA,
    "gemma2": _GEMMA_2,
    "gemma3_text": _GEMMA_2,
    "gpt2": _GPT_2,
    "gpt_neo": replace(
        _GPT_2,
        windows=Windows("window_size", kinds="attention_layers", kind="local"),
        own_mask="attn.attention.bias",
    ),
    "gpt_neox": Architecture(
        body="gpt_neox",
        block="gpt_neox.layers.{}",
        down="mlp.dense_4h_to_h",
        up="mlp.dense_h_to_4h",
        ending=("gpt_neox.final_layer_norm",),
    ),
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, windows=Windows(kinds=None)),
    "modernbert": Architecture(
        body="model",
        block="model.layers.{}",
        down="mlp.Wo",
        gate_up="mlp.Wi",
        ending=("model.final_norm",),
        transform=("head",),
        encoder=True,
    ),
    "olmo2": replace(_LLAMA, down_norm="post_feedforward_layernorm"),
    "opt": _OPT,
    "phi3": replace(
        _LLAMA, up=None, gate=None, gate_up="mlp.gate_up_proj", windows=Windows(kinds=None)
    ),
    "qwen2": _QWEN,
    "qwen3": _QWEN,
    "roberta": _ROBERTA,
    "xglm": _XGLM,
    "xlm-roberta": _ROBERTA,
}


def _opt(settings: Mapping[str, Any]) -> Architecture:
    """Return OPT's row: the 350m model has post-norm blocks, and projects to the embeddings."""
    before = settings.get("do_layer_norm_before", True)
    normed = before and not settings.get("_remove_final_layer_norm", False)
    width = settings.get("word_embed_proj_dim") or settings.get("hidden_size")
    projected = width != settings.get("hidden_size")
    return replace(
        _OPT,
        sum_norm=None if before else "final_layer_norm",
        ending=(_OPT.ending if normed else ())
        + (("model.decoder.project_out",) if projected else ()),
    )


# Families whose settings decide where something is.
BY_SETTINGS: dict[str, Callable[[Mapping[str, Any]], Architecture]] = {"opt": _opt}
