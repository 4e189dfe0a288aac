"""The sizes of a model, read from its config.json: no weights are needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuron_atlas.costs.amount import Amount
from neuron_atlas.model.supported import require_supported

NAMES = {  # what the families call a size, the usual name first
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "d_model": ("hidden_size", "n_embd", "dim", "d_model"),
    "neurons": ("intermediate_size", "ffn_dim", "hidden_dim", "ffn_hidden_size", "n_inner"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "attention_heads", "num_heads"),
    "groups": ("num_key_value_heads", "num_kv_heads"),
    "head_width": ("head_dim",),
    "vocabulary": ("vocab_size",),
    "embedding_width": ("embedding_size", "word_embed_proj_dim"),
}
TIED = {  # families whose embeddings are also the output's where the configuration does not say
    *("bert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"),
    *("bloom", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo", "opt", "xglm"),
}
KINDS = {  # what a setting that is looked into has to be
    "rope_parameters": (Mapping, "an object"),
    "rope_scaling": (Mapping, "an object"),
    "layer_types": (list, "a list"),
}
WIDER = 4  # times `d_model` are the neurons of a family that does not say how many


@dataclass(frozen=True)
class ModelShape:
    """A model's sizes.

    Attributes:
        family: Its `model_type`.
        layers: Transformer blocks.
        d_model: Width of the residual stream.
        neurons: Hidden units of one MLP.
        heads: Attention heads.
        groups: Heads of keys and values.
        head_width: Numbers of one head.
        vocabulary: Tokens.
        embedding_width: Numbers of one token's embedding.
        gated: Whether the MLP has a gate beside its up-projection.
        tied: Whether embeddings and output embeddings are the same numbers.
        encoder: Whether it is a masked language model.
    """

    family: str
    layers: int
    d_model: int
    neurons: int
    heads: int
    groups: int
    head_width: int
    vocabulary: int
    embedding_width: int
    gated: bool
    tied: bool
    encoder: bool

    @property
    def mlp_weights(self) -> int:
        """Numbers of one layer's MLP matrices."""
        return (3 if self.gated else 2) * self.d_model * self.neurons

    @property
    def layer_weights(self) -> int:
        """Numbers of one layer's matrices: attention and MLP; norms and biases are left out."""
        own = 2 * self.heads * self.head_width + 2 * self.groups * self.head_width
        return own * self.d_model + self.mlp_weights

    @property
    def embeddings(self) -> int:
        """Numbers of the embeddings of the vocabulary."""
        return self.vocabulary * self.embedding_width

    @property
    def parameters(self) -> int:
        """Numbers of the matrices of all layers and of the vocabulary's embeddings.

        Embeddings of positions, and what a family has between its last layer and the logits, are
        left out as norms and biases are.
        """
        return self.layers * self.layer_weights + self.embeddings * (1 if self.tied else 2)

    @property
    def all_neurons(self) -> int:
        """Neurons of all layers."""
        return self.layers * self.neurons

    def token(self, context: Amount) -> Amount:
        """Return the FLOPs of one token's way through all blocks, the head left out.

        Two per weight, and four per number of a head and token that it attends to.
        """
        attention = 4.0 * context * self.heads * self.head_width
        return self.layers * (2.0 * self.layer_weights + attention)

    @property
    def head_row(self) -> Amount:
        """FLOPs of one position's logits over the whole vocabulary."""
        return 2.0 * self.embeddings


def of_config(given: Mapping[str, Any]) -> ModelShape:
    """Read the sizes from what is in a config.json.

    Raises:
        ValueError: the engine does not support the family or one of its settings; a size is missing
            or is no whole number from 1; the message says under which names it was looked for.
    """
    _require_own(given)
    for key, (kind, words) in KINDS.items():
        if not isinstance(given.get(key), kind | None):
            raise ValueError(f"config.json: {key} must be {words}, got {given[key]!r}")
    row = require_supported(given, "config.json")
    family = str(given["model_type"])
    d_model, heads = _size(given, "d_model"), _size(given, "heads")
    return ModelShape(
        family=family,
        layers=_size(given, "layers"),
        d_model=d_model,
        neurons=_size(given, "neurons", WIDER * d_model),
        heads=heads,
        groups=_groups(given, family, heads),
        head_width=_size(given, "head_width", d_model // heads),
        vocabulary=_size(given, "vocabulary"),
        embedding_width=_size(given, "embedding_width", d_model),
        gated=row.gate is not None or row.gate_up is not None,
        tied=bool(given.get("tie_word_embeddings", family in TIED)),
        encoder=row.encoder,
    )


def _require_own(config: Mapping[str, Any]) -> None:
    """Check that a configuration is a language model's own.

    Raises:
        ValueError: it nests a language model's, as one that also reads images does; the engine
            loads language models alone.
    """
    nested = config.get("text_config")
    if nested is not None:
        inner = nested.get("model_type") if isinstance(nested, Mapping) else None
        raise ValueError(
            f"config.json: this {config.get('model_type')} holds its language model in "
            f"text_config{f' ({inner})' if inner else ''}, and the engine loads language models "
            "alone: give what is in text_config as a config.json of its own, to plan, and the "
            "language model saved by itself, to run"
        )


def _groups(config: Mapping[str, Any], family: str, heads: int) -> int:
    """Return the heads of keys and values; Falcon's older code does not ask for their number."""
    if family == "falcon" and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query", True) else heads
    return _size(config, "groups", heads)


def _size(config: Mapping[str, Any], name: str, otherwise: int | None = None) -> int:
    for key in NAMES[name]:
        if (found := config.get(key)) is not None:
            if isinstance(found, bool) or not isinstance(found, int) or found < 1:
                raise ValueError(f"config.json: {key} must be a whole number from 1, got {found!r}")
            return found
    if otherwise is not None:
        return otherwise
    raise ValueError(
        f"config.json names none of {', '.join(NAMES[name])}: expected the {name} of a model, "
        f"found the keys {sorted(config)}; give the config.json of a language model"
    )
