"""One clean pass over a batch of points, and all of it that rows need to leave it in the middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import DynamicCache

from neuron_atlas.attributions.questions import Point
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules

Factors = Float[Tensor, "point layer neuron"]


@dataclass(frozen=True)
class Trace:
    """What one clean pass over a batch of points leaves behind.

    Attributes:
        position: The answer position of each point.
        token: Where the answer position is among the tokens of a row.
        outputs: Output of each block, at the answer position (decoder) or whole (encoder).
        values: The hidden units at the answer position.
        written: What the down-projections made of them.
        sums: Its sum with the residual, where a family norms that; else empty.
        calls: The arguments of each block, its input first.
        keys: Keys and values of each layer's tokens before the answer position; empty in encoders.
        before: Which tokens stand before the answer position.
        keep: Factors on the hidden units at the answer position; None leaves them.
    """

    position: Int[Tensor, " point"]
    token: Int[Tensor, " point"]
    outputs: Sequence[Float[Tensor, "point token d_model"]]
    values: Float[Tensor, "point layer neuron"]
    written: Sequence[Float[Tensor, "point d_model"]]
    sums: Sequence[Float[Tensor, "point d_model"]]
    calls: Sequence[hooks.Call]
    keys: Sequence[tuple[Tensor, Tensor]]
    before: Bool[Tensor, "point position"]
    keep: Factors | None

    @property
    def output(self) -> Float[Tensor, "point d_model"]:
        """Output of the last block at the answer position, before the final norm."""
        return at(self.outputs[-1], self.token)


@torch.no_grad()
def trace(lm: LanguageModel, batch: Sequence[Point], *, keep: Factors | None = None) -> Trace:
    """Run the model over the points once, and keep what rows need to start from any layer."""
    ids, mask, position = _padded(batch, lm.device)
    places, width = torch.arange(ids.shape[1], device=lm.device).expand_as(ids), ids.shape[1]
    cache = None if lm.architecture.encoder else DynamicCache()
    visible = (
        mask if lm.architecture.encoder else mask.new_ones(width, width).tril() & mask[:, None]
    )
    modules, sums = site_modules(lm, "hidden"), _sum_norms(lm)
    after = [] if lm.final_norm is None else [lm.final_norm]
    scale = {} if keep is None else {i: _scaled(position, keep[:, i]) for i in range(lm.n_layers)}
    with (
        hooks.edit(modules, scale),
        hooks.record(modules, lambda x: at(x, position)) as values,
        hooks.record([(m, False) for m, _ in modules], lambda x: at(x, position)) as written,
        hooks.record([(m, True) for m in sums], lambda x: at(x, position)) as summed,
        hooks.record_calls([*lm.blocks, *after]) as calls,
    ):
        last = lm.hidden(ids, places, visible, cache=cache)
    whole = [call.args[0] for call in calls[1:]] + ([] if after else [last])
    return Trace(
        position=position,
        token=position if lm.architecture.encoder else torch.zeros_like(position),
        outputs=whole if lm.architecture.encoder else [at(x, position)[:, None] for x in whole],
        values=torch.stack([values[i] for i in range(lm.n_layers)], 1),
        written=[written[i] for i in range(lm.n_layers)],
        sums=[summed[i] for i in range(len(sums))],
        calls=calls[: lm.n_layers],
        keys=[] if cache is None else _keys(cache),
        before=places < position[:, None],
        keep=keep,
    )


def at(
    x: Shaped[Tensor, "sequence token *rest"], token: Int[Tensor, " sequence"]
) -> Shaped[Tensor, "sequence *rest"]:
    """Return what each sequence has at one of its tokens: the only one, if it was cut to that."""
    if x.shape[1] == 1:
        return x[:, 0]
    return x[torch.arange(len(x), device=x.device), token]


def one_of(n_tokens: int, token: Int[Tensor, " sequence"]) -> Bool[Tensor, "sequence token"]:
    """Return which of a sequence's tokens is the given one."""
    return torch.arange(n_tokens, device=token.device) == token[:, None]


def _keys(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    layers: list[Any] = list(cache.layers)
    return [(layer.keys, layer.values) for layer in layers]


def _padded(batch: Sequence[Point], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(p.ids) for p in batch)
    ids = torch.tensor([[*p.ids, *[0] * (width - len(p.ids))] for p in batch])
    length = torch.tensor([len(p.ids) for p in batch])
    position = torch.tensor([p.position for p in batch])
    return ids.to(device), (torch.arange(width) < length[:, None]).to(device), position.to(device)


def _sum_norms(lm: LanguageModel) -> list[nn.Module]:
    path = lm.architecture.sum_norm
    return [] if path is None else [block.get_submodule(path) for block in lm.blocks]


def _scaled(position: Int[Tensor, " point"], factor: Float[Tensor, "point neuron"]) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        there = one_of(x.shape[1], position)[..., None]
        return torch.where(there, x * factor.to(x.dtype)[:, None], x)

    return change
