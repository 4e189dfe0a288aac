"""Refuse settings of a model that the engine would run wrong, before any weights are read.

Prompts are packed, and answer positions resumed, with masks and positions that the engine makes
itself. What a configuration asks for beyond them has to be known here, or the numbers would be
another model's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neuron_atlas.model.architectures import Architecture
from neuron_atlas.model.families import architecture

Settings = Mapping[str, Any]
KINDS = ("full_attention", "sliding_attention")
ROPES = ("default", "linear", "llama3", "proportional", "yarn")  # the same at every length
ATTENTION = ("attn_implementation", "_attn_implementation")
ROPES_BY_LENGTH = ("dynamic", "longrope", "su")  # the same up to the length of the pretraining


@dataclass(frozen=True)
class Plain:
    """A key of `config.json`, and the values with which the engine runs the model right.

    Attributes:
        key: The key; where it is absent or null there is nothing to refuse.
        values: The values that are supported.
        why: What another value would do, for the message.
    """

    key: str
    values: tuple[Any, ...]
    why: str


_ONE_STREAM = "each block adds its MLP's output to the residual as it is"
_OWN_TOKENS = "an answer position attends to its prompt's tokens alone, by no bias but ALiBi's"
_MASKS = "the engine says which tokens see each other, pair by pair; remove the key"
_LOGITS = "logits are products with the output embeddings, at most squashed by a soft cap"
PLAIN = (
    Plain("is_encoder_decoder", (False,), "a decoder or an encoder stands alone"),
    Plain("add_cross_attention", (False,), "a decoder or an encoder stands alone"),
    Plain("use_bidirectional_attention", (False,), "a decoder's tokens do not see later ones"),
    Plain("chunk_size_feed_forward", (0,), "an MLP reads all positions at once"),
    Plain("return_dict", (True,), "outputs are read by name"),
    Plain("position_embedding_type", ("absolute", "alibi", "rope", "rotary"), _OWN_TOKENS),
    Plain("relative_attention", (False,), _OWN_TOKENS),
    Plain("relative_attention_num_buckets", (0,), _OWN_TOKENS),
    Plain("attention_type", ("original_full",), _OWN_TOKENS),
    Plain("attention_window", (), _OWN_TOKENS),
    Plain("attention_sinks", (False, 0), _OWN_TOKENS),
    Plain("attention_sink_size", (0,), _OWN_TOKENS),
    Plain("add_swa_attention_sink_bias", (False,), _OWN_TOKENS),
    Plain("add_full_attention_sink_bias", (False,), _OWN_TOKENS),
    Plain("attention_chunk_size", (), _OWN_TOKENS),
    Plain("prefix_lm", (False,), _OWN_TOKENS),
    Plain("num_kv_shared_layers", (0,), "each layer has keys and values of its own"),
    Plain("residual_multiplier", (1,), _ONE_STREAM),
    Plain("hidden_size_per_layer_input", (0,), _ONE_STREAM),
    Plain("logit_scale", (1,), _LOGITS),
    Plain("logits_scaling", (1,), _LOGITS),
    Plain("num_experts", (0, 1), "an MLP is one matrix that all tokens pass"),
    Plain("num_local_experts", (0, 1), "an MLP is one matrix that all tokens pass"),
    Plain("n_routed_experts", (0,), "an MLP is one matrix that all tokens pass"),
    Plain("attn_implementation", ("eager", "sdpa"), _MASKS),
    Plain("_attn_implementation", ("eager", "sdpa"), _MASKS),
    Plain("quantization_config", (), "weights are read and edited as plain numbers"),
    Plain("skip_layers", (False,), "every layer runs"),
    Plain("early_exit_layer", (), "every layer runs"),
    Plain("exit_layer_index", (), "every layer runs"),
)


def require_supported(settings: Settings, where: str) -> Architecture:
    """Return the row of a model whose settings are all ones that the engine handles.

    Args:
        settings: The keys of its `config.json`, or all that transformers makes of them.
        where: What is asked about, for the message.

    Raises:
        ValueError: the family is unknown, or settings are not supported; the message names each,
            and what would be.
    """
    name = str(settings.get("model_type"))
    row = architecture(name, settings)
    found = [*_plain(settings), *_attention(settings, row), *_roles(settings, name, row)]
    if found:
        raise ValueError(f"{where}: this {name} cannot be run right: {'; '.join(found)}")
    return row


def rope_parameters(settings: Settings) -> list[Mapping[str, Any]]:
    """Return what a configuration says of rotary embeddings: once, or once per kind of layer.

    Older configurations call the key `rope_scaling`.
    """
    found = [settings.get(key) or {} for key in ("rope_parameters", "rope_scaling")]
    parts = [part for one in found for part in one.values() if isinstance(part, Mapping)]
    return [*parts, *found]


def rope_type(parameters: Mapping[str, Any]) -> str:
    """Return the kind of rotary embeddings; older configurations call the key `type`."""
    return str(parameters.get("rope_type") or parameters.get("type") or "default")


def _plain(settings: Settings) -> Iterator[str]:
    for rule in PLAIN:
        value = settings.get(rule.key)
        if value is not None and value not in rule.values:
            wanted = " or ".join(map(repr, rule.values)) or "no such key"
            shown = "..." if isinstance(value, Mapping | list) else repr(value)
            yield f"{rule.key} is {shown}, supported: {wanted} ({rule.why})"


def _attention(settings: Settings, row: Architecture) -> Iterator[str]:
    kinds = set(settings.get("layer_types") or ()) - set(KINDS)
    if kinds:
        yield f"layer_types has {sorted(kinds)}, supported: {list(KINDS)}"
    if settings.get("alibi") and row.alibi is None:
        yield "alibi is true, supported: false (this family's row tells its blocks of no biases)"
    if settings.get("alibi") and row.alibi == "mask" and "eager" in map(settings.get, ATTENTION):
        yield "attention is 'eager', supported: 'sdpa' (it would take the biases of alibi twice)"
    ropes = {rope_type(part) for part in rope_parameters(settings)}
    if other := sorted(ropes - {*ROPES, *ROPES_BY_LENGTH}):
        yield f"the rotary embeddings' rope_type is {other[0]!r}, supported: " + ", ".join(
            (*ROPES, *ROPES_BY_LENGTH)
        )


def _roles(settings: Settings, name: str, row: Architecture) -> Iterator[str]:
    if row.encoder and settings.get("is_decoder"):
        yield "is_decoder is True, supported: False (its answer position is a mask among words)"
    if name == "bloom" and settings.get("slow_but_exact") and settings.get("pretraining_tp", 1) > 1:
        yield (
            "slow_but_exact is True with pretraining_tp above 1, supported: False (the "
            "down-projection would be applied in slices, past its module)"
        )
