"""Require a checkpoint to hold every tensor of the model that is made of it, and no others."""

import re
from collections.abc import Collection, Mapping
from typing import Any

# What a language model does not read: heads for other tasks, buffers that its code computes.
_UNUSED = re.compile(
    r"(^|\.)(pooler|seq_relationship|classifier|pre_classifier|sop_classifier|score|qa_outputs)\."
    r"|(^|\.)(position_ids|token_type_ids|inv_freq|masked_bias)$|\.(attn|attn\.attention)\.bias$"
)
_SHOWN = 4


def require_complete(loading: Mapping[str, Any], where: str) -> None:
    """Require the weights that were loaded to fill the model.

    transformers fills what is missing with random values and leaves out what it has no place for.
    A head that is tied to the embeddings is not missing.

    Args:
        loading: transformers' `output_loading_info`.
        where: What was loaded, for the message.

    Raises:
        ValueError: a tensor is missing, or is there without a place in the model; the message names
            some of either.
    """
    missing = sorted(loading.get("missing_keys", ()))
    unexpected = sorted(loading.get("unexpected_keys", ()))
    foreign = [name for name in unexpected if not _UNUSED.search(name)]
    if missing or foreign:
        raise ValueError(
            f"{where}: expected the weights of a whole language model; missing: "
            f"{_listed(missing)}; unexpected: {_listed(unexpected)}; convert the checkpoint with "
            "its language-modelling head, or correct config.json"
        )


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN]) or "none"
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
