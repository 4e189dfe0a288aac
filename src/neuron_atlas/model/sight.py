"""What each layer's attention may see of what is in its sequence, and by what bias.

A packed sequence holds many continuations of a prompt, so that a token's place in it says nothing
of how far back another one is. What a family takes from places has to come from positions instead:
its sliding windows, and the biases of ALiBi.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from neuron_atlas.model.architectures import Architecture
from neuron_atlas.model.supported import ROPES_BY_LENGTH, rope_parameters, rope_type

Visible = Bool[Tensor, "batch query key"]
Queries = Int[Tensor, "batch query"]
Keys = Int[Tensor, "batch key"]
ToldByLayer = dict[int, dict[str, Tensor]]
# ALiBi's biases, [head, position], for positions below a number, in a tensor's precision.
Biases = Callable[[int, Tensor], Tensor]
ENDLESS = 1 << 20  # places that an own mask is opened for


class PositionedCache(DynamicCache):
    """Keys and values of what has run, and at which position each of them is."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: Keys | None = None

    def extended(self, positions: Queries) -> Keys:
        """Add positions that are about to run, and return those of all keys."""
        before = [] if self.positions is None else [self.positions]
        self.positions = torch.cat([*before, positions], 1)
        return self.positions


@dataclass(frozen=True)
class Sight:
    """How far a model's positions reach, and what a decoder's layers see beside their shared mask.

    Attributes:
        windows: Of each layer, how many tokens back it sees, the own one included; None for all.
        longest: Above this many tokens the model has no positions, or would be another one, or its
            windows are not known; None for no limit.
        alibi: ALiBi's biases; None for a family without.
        in_mask: By what they are divided to be a part of the mask; None where they are an argument.
    """

    windows: tuple[int | None, ...]
    longest: int | None = None
    alibi: Biases | None = None
    in_mask: float | None = None

    def told(self, visible: Visible, queries: Queries, keys: Keys, **how: Any) -> ToldByLayer:
        """Return what `arguments` does for the layers that need more than the shared mask."""
        found: dict[int | None, dict[str, Tensor]] = {}
        by_layer: ToldByLayer = {}
        for layer, window in enumerate(self.windows):
            if self._needs_own(window, how["length"]):
                if window not in found:
                    found[window] = self.arguments(layer, visible, queries, keys, **how)
                by_layer[layer] = found[window]
        return by_layer

    def _needs_own(self, window: int | None, length: int) -> bool:
        return self.alibi is not None or (window is not None and length > window)

    def arguments(
        self,
        layer: int,
        visible: Visible,
        queries: Queries,
        keys: Keys,
        *,
        length: int,
        dtype: torch.dtype,
    ) -> dict[str, Tensor]:
        """Return what a layer's block is told of what its attention sees, by argument.

        Args:
            layer: The layer.
            visible: What the tokens may attend to, windows apart.
            queries: Positions of the tokens.
            keys: Positions of what they attend to.
            length: More than every position.
            dtype: Precision of the masks.
        """
        window = self.windows[layer]
        if window is not None and length > window:
            visible = visible & (queries[:, :, None] - keys[:, None] < window)
        if self.alibi is None:
            return {"attention_mask": additive(visible, dtype)}
        bias = self.alibi(length, torch.zeros((), dtype=dtype, device=keys.device))
        bias = bias[:, keys].transpose(0, 1)[:, :, None]  # [batch, head, 1, key]
        if self.in_mask is None:
            return {"attention_mask": additive(visible, dtype), "alibi": bias.flatten(0, 1)}
        lowest = torch.finfo(dtype).min
        return {"attention_mask": torch.masked_fill(bias / self.in_mask, ~visible[:, None], lowest)}

    def length(self, keys: Keys) -> int:
        """Return a number above every position.

        Sequences begin at position 0 and leave none out, so that none is above the number of keys.
        Only where this number passes a limit is the device waited for, to say how long the longest
        sequence is.
        """
        n = keys.shape[1]
        limits = [limit for limit in (*self.windows, self.longest) if limit is not None]
        return n if n <= min(limits, default=n) else int(keys.max()) + 1

    def require_known(self, length: int) -> None:
        """Refuse a prompt that is too long.

        Raises:
            ValueError: it is longer than `longest`.
        """
        if self.longest is not None and length > self.longest:
            raise ValueError(
                f"a prompt has {length} tokens, more than the {self.longest} for which the model "
                "has positions, or up to which its attention window and its rotary embeddings "
                "stay as they are; lower recall.shots or shorten the templates"
            )


def additive(visible: Visible, dtype: torch.dtype) -> Float[Tensor, "batch 1 query key"]:
    """Return a mask to add to attention scores: 0 where visible, else the lowest number."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


def read_sight(network: PreTrainedModel, row: Architecture) -> Sight:
    """Return how far a model's positions reach and what its layers see, by its configuration."""
    config: Any = network.config
    settings: Mapping[str, Any] = config.to_dict()
    n_layers = int(config.num_hidden_layers)
    windows = _windows(config, row, n_layers)
    alibi = row.alibi is not None and getattr(config, "alibi", True)
    limits = [*_rope_limits(settings), *_unknown_windows(config, row)]
    if not alibi and not settings.get("rope_parameters"):
        limits += _table(config, row)
    longest = min(limits, default=None)
    if not alibi:
        return Sight(windows, longest)
    made = sys.modules[type(network).__module__].build_alibi_tensor
    n_heads = int(config.num_attention_heads)
    return Sight(
        windows,
        longest,
        partial(_biases, made, n_heads),
        (config.hidden_size // n_heads) ** 0.5 if row.alibi == "mask" else None,
    )


def _biases(made: Any, n_heads: int, length: int, like: Tensor) -> Float[Tensor, "head position"]:
    """Return the family's own biases, rounded as it rounds them."""
    ones = torch.ones(1, length, dtype=torch.long, device=like.device)
    found: Tensor = made(ones, n_heads, like.dtype)
    return found.view(n_heads, length)


def _windows(config: Any, row: Architecture, n_layers: int) -> tuple[int | None, ...]:
    size = None if row.windows is None else getattr(config, row.windows.size, None)
    if row.windows is None or size is None:
        return (None,) * n_layers
    if row.windows.kinds is None:
        return (int(size),) * n_layers
    kinds = getattr(config, row.windows.kinds, None) or ()
    return tuple(int(size) if kind == row.windows.kind else None for kind in kinds)


def _unknown_windows(config: Any, row: Architecture) -> Iterator[int]:
    """Yield the window of a family whose row does not say which layers have it."""
    size = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ("sliding_attention",)
    if not row.encoder and row.windows is None and size and "sliding_attention" in kinds:
        yield int(size)


def _rope_limits(settings: Mapping[str, Any]) -> Iterator[int]:
    """Yield lengths above which rotary embeddings change with the length of the sequence."""
    for part in rope_parameters(settings):
        if rope_type(part) in ROPES_BY_LENGTH:
            own = part.get("original_max_position_embeddings")
            yield int(own or settings["max_position_embeddings"])


def _table(config: Any, row: Architecture) -> Iterator[int]:
    """Yield how many positions a model has that adds one of a table of them to each token."""
    size = getattr(config, "max_position_embeddings", None)
    if size is not None:
        yield int(size) - (int(config.pad_token_id) + 1 if row.behind_padding else 0)


@contextmanager
def opened(blocks: Sequence[nn.Module], path: str | None) -> Iterator[None]:
    """Let blocks hide nothing by own masks while open: all is said by the mask they are given.

    Args:
        blocks: The blocks.
        path: Of the mask's buffer in each of them; None if they have none.
    """
    if path is None:
        yield
        return
    parent, _, name = path.rpartition(".")
    owners = [block.get_submodule(parent) for block in blocks]
    kept = [owner.get_buffer(name) for owner in owners]
    try:
        for owner, mask in zip(owners, kept, strict=True):
            everything = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=mask.device)
            setattr(owner, name, everything.expand(1, 1, ENDLESS, ENDLESS))
        yield
    finally:
        for owner, mask in zip(owners, kept, strict=True):
            setattr(owner, name, mask)
