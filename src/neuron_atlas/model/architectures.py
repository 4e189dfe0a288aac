"""Where the model families keep their MLP neurons: one row of module paths per family."""

from dataclasses import dataclass, replace
from typing import Literal

Site = Literal["hidden", "gate", "up", "down"]  # which values are neurons


@dataclass(frozen=True)
class Architecture:
    """Module paths of one model family; `up`, `gate` and `down` are relative to the block.

    Attributes:
        body: Everything below the language-modelling head.
        block: Path of layer `{}`.
        down: The down-projection; its input is the vector of hidden units.
        up: The up-projection; its output is multiplied by the gate's, or activated in a plain MLP.
            None where one projection makes both up and gate.
        gate: The gate projection of a gated MLP; None in a plain one.
        down_norm: What norms the down-projection's output before it is added to the residual.
        sum_norm: What norms the sum of the two: the layer norm of a post-norm block.
        attention_end: The last module of an encoder's attention: behind it a block treats every
            position by itself, and all that goes on is among its arguments. None where the residual
            bypasses it, as in ModernBERT.
        norm: The norm between the last block and the body's output; None if there is none.
        transform: What comes between the body and the output embeddings, in order: module paths, or
            names of activation functions that are not modules of the model.
        encoder: True for masked language models, whose answer position is the mask.
    """

    body: str
    block: str
    down: str
    up: str | None = None
    gate: str | None = None
    down_norm: str | None = None
    sum_norm: str | None = None
    attention_end: str | None = None
    norm: str | None = None
    transform: tuple[str, ...] = ()
    encoder: bool = False


_LLAMA = Architecture(
    body="model",
    block="model.layers.{}",
    down="mlp.down_proj",
    up="mlp.up_proj",
    gate="mlp.gate_proj",
    norm="model.norm",
)
ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(
        body="bert",
        block="bert.encoder.layer.{}",
        down="output.dense",
        up="intermediate.dense",
        sum_norm="output.LayerNorm",
        attention_end="attention.output",
        transform=("cls.predictions.transform",),
        encoder=True,
    ),
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
    "gemma3_text": replace(_LLAMA, down_norm="post_feedforward_layernorm"),
    "gpt2": Architecture(
        body="transformer",
        block="transformer.h.{}",
        down="mlp.c_proj",
        up="mlp.c_fc",
        norm="transformer.ln_f",
    ),
    "gpt_neox": Architecture(
        body="gpt_neox",
        block="gpt_neox.layers.{}",
        down="mlp.dense_4h_to_h",
        up="mlp.dense_h_to_4h",
        norm="gpt_neox.final_layer_norm",
    ),
    "llama": _LLAMA,
    "modernbert": Architecture(
        body="model",
        block="model.layers.{}",
        down="mlp.Wo",
        norm="model.final_norm",
        transform=("head",),
        encoder=True,
    ),
    "qwen3": _LLAMA,
    "xlm-roberta": Architecture(
        body="roberta",
        block="roberta.encoder.layer.{}",
        down="output.dense",
        up="intermediate.dense",
        sum_norm="output.LayerNorm",
        attention_end="attention.output",
        transform=("lm_head.dense", "gelu", "lm_head.layer_norm"),
        encoder=True,
    ),
}


def architecture(model_type: str) -> Architecture:
    """Return the row of `ARCHITECTURES` for a Hugging Face `model_type`.

    Raises:
        ValueError: the family is unknown; the message lists the known ones.
    """
    if model_type not in ARCHITECTURES:
        raise ValueError(
            f"unsupported architecture {model_type!r}; supported: {sorted(ARCHITECTURES)}. "
            "Add its module paths to ARCHITECTURES in src/neuron_atlas/model/architectures.py"
        )
    return ARCHITECTURES[model_type]
