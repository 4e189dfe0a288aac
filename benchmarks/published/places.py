"""Neurons of several sites under one numbering, and edits of them.

Liu et al. 2025 (section 3.1) call every output of gate_proj, up_proj and down_proj a neuron and
rank all together. A neuron's flat index is layer * width + its place in (gate, up, down).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from neuron_atlas.model import hooks
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel, site_modules

RAW: tuple[Site, ...] = ("gate", "up", "down")
HIDDEN: tuple[Site, ...] = ("hidden",)


@dataclass(frozen=True)
class Places:
    """Where the neurons of some sites are."""

    lm: LanguageModel
    sites: tuple[Site, ...]

    @cached_property
    def widths(self) -> list[int]:
        """Neurons of one layer, by site."""
        d_model = self.lm.d_model
        return [d_model if site == "down" else self.lm.n_neurons for site in self.sites]

    @property
    def width(self) -> int:
        """Neurons of one layer, all sites together."""
        return sum(self.widths)

    @property
    def total(self) -> int:
        """Neurons of the model, all sites together."""
        return self.lm.n_layers * self.width

    def site_of(self, flat: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
        """Return which of `sites` each neuron belongs to, by number."""
        return np.searchsorted(np.cumsum(self.widths), flat % self.width, side="right")

    def groups(self) -> list[Int[np.ndarray, " n"]]:
        """Return all flat indices, apart by layer and site."""
        ends = np.cumsum([0, *self.widths * self.lm.n_layers])
        return [np.arange(a, b) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class Edit:
    """Move neurons towards values: w + scale * (value - w).

    Attributes:
        places: What the indices mean.
        chosen: Flat indices.
        value: The value of every neuron, in `places`' numbering.
        scale: 1 sets them; more goes beyond.
        answer_only: Edit the last position of the prompt and what is generated, not all positions.
    """

    places: Places
    chosen: Int[np.ndarray, " k"]
    value: Float[Tensor, " total"]
    scale: float = 1.0
    answer_only: bool = False

    def of(self, chosen: Int[np.ndarray, " k"], scale: float = 1.0) -> "Edit":
        """Return the same done to other neurons."""
        return replace(self, chosen=chosen, scale=scale)


@contextmanager
def opened(edit: Edit | None, where: Bool[Tensor, "batch position"]) -> Iterator[None]:
    """Apply an edit at the positions in `where` while open; None changes nothing."""
    with ExitStack() as stack:
        if edit is not None:
            for number, site in enumerate(edit.places.sites):
                changes = _changes(edit, number, where)
                stack.enter_context(hooks.edit(site_modules(edit.places.lm, site), changes))
        yield


def _changes(edit: Edit, site: int, where: Tensor) -> dict[int, hooks.Change]:
    """Return the change of each layer that has chosen neurons of a site."""
    places = edit.places
    own = edit.chosen[places.site_of(edit.chosen) == site]
    start = sum(places.widths[:site])
    found: dict[int, hooks.Change] = {}
    for layer in np.unique(own // places.width).tolist():
        flat = own[own // places.width == layer]
        index = torch.from_numpy(flat % places.width - start)
        found[layer] = _moved(index, edit.value[torch.from_numpy(flat)], edit.scale, where)
    return found


def _moved(index: Tensor, value: Tensor, scale: float, where: Tensor) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        old = x[..., index]
        new = scale * value.to(x.dtype) + (1 - scale) * old
        out = x.clone()
        out[..., index] = torch.where(where[..., None], new, old)
        return out

    return change


@contextmanager
def recorded(
    places: Places, reduce: hooks.Change, found: dict[int, Float[Tensor, "batch width"]]
) -> Iterator[None]:
    """Fill `found` with each layer's values, sites side by side, reduced over positions."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(hooks.record(site_modules(places.lm, site), reduce))
            for site in places.sites
        ]
        yield
    for layer in range(places.lm.n_layers):
        found[layer] = torch.cat([values[layer] for values in sites], dim=-1)


def mlp(lm: LanguageModel, layer: int) -> tuple[Any, nn.Module | None]:
    """Return a layer's MLP and the norm behind it, if the family has one."""
    row, block = lm.architecture, lm.blocks[layer]
    norm = None if row.down_norm is None else block.get_submodule(row.down_norm)
    return block.get_submodule(row.down.rpartition(".")[0]), norm


def mlp_inputs(lm: LanguageModel) -> Sequence[tuple[nn.Module, bool]]:
    """Return, for `hooks.record`, what each layer's MLP reads."""
    return [(mlp(lm, layer)[0], True) for layer in range(lm.n_layers)]
