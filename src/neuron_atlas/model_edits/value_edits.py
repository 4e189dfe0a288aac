"""Edit value vectors, the weights that say what a neuron writes, and restore them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.devices.running import require_here, weight
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.neurons.addresses import check_set


@dataclass(frozen=True)
class ValueEdit:
    """What is added to the value vectors of some neurons.

    A neuron's value vector is its column of the down-projection: Geva et al. 2021 (arXiv
    2012.14913, section 2), Dai et al. 2022 (arXiv 2104.08696, section 5).

    Attributes:
        neurons: Flat indices, each once.
        delta: What is added to the value vector of each.
    """

    neurons: Int[np.ndarray, " m"]
    delta: Float[Tensor, "m d_model"]


def columns(lm: LanguageModel, layer: int) -> Float[Tensor, "neuron d_model"]:
    """Return a view of the layer's value vectors, one per row, on the layer's device.

    GPT-2's Conv1D stores its weight [in, out], nn.Linear [out, in]; the view is the same. Of a
    layer that is kept elsewhere until it runs it is a copy.
    """
    down = site_modules(lm, "hidden")[layer][0]
    own = weight(down)
    return own if hasattr(down, "nx") else own.T


def vectors(lm: LanguageModel, neurons: Int[np.ndarray, " m"]) -> Float[Tensor, "m d_model"]:
    """Return a copy of the neurons' value vectors, in the model's precision."""
    width = columns(lm, 0).shape[1]
    found = torch.empty(len(neurons), width, dtype=lm.dtype, device=lm.device)
    for layer, rows in _by_layer(neurons, lm.n_neurons):
        own = columns(lm, layer)
        inside = _inside(lm, neurons, rows).to(own.device)
        found[rows.to(found.device)] = own[inside].to(found.device)
    return found


def layer_neurons(lm: LanguageModel, layer: int) -> Int[np.ndarray, " neuron"]:
    """Return all neurons of a layer: an edit of them changes the whole down-projection."""
    return layer * lm.n_neurons + np.arange(lm.n_neurons)


@contextmanager
def applied(lm: LanguageModel, edit: ValueEdit) -> Iterator[None]:
    """Add an edit to the loaded weights while open, then restore the original bits.

    Edits can be nested. The model on disk is not touched.

    Raises:
        ValueError: a neuron is out of range or repeated, the edit is not finite, or a layer's
            weights are kept elsewhere until it runs.
    """
    check_set(edit.neurons, lm.n_layers * lm.n_neurons)
    if not torch.isfinite(edit.delta).all():
        raise ValueError("an edit must be finite, got NaN or infinity; lower editing.descent.rate")
    for layer, _ in _by_layer(edit.neurons, lm.n_neurons):
        require_here(site_modules(lm, "hidden")[layer][0], f"layer {layer}")
    kept = vectors(lm, edit.neurons)
    changed = (kept.float() + edit.delta.to(kept.device).float()).to(kept.dtype)
    try:
        _write(lm, edit.neurons, changed)
        yield
    finally:
        _write(lm, edit.neurons, kept)


@torch.no_grad()
def _write(
    lm: LanguageModel, neurons: Int[np.ndarray, " m"], values: Float[Tensor, "m d_model"]
) -> None:
    for layer, rows in _by_layer(neurons, lm.n_neurons):
        own = columns(lm, layer)
        inside = _inside(lm, neurons, rows).to(own.device)
        own[inside] = values[rows.to(values.device)].to(own.device)


def _by_layer(
    neurons: Int[np.ndarray, " m"], n_neurons: int
) -> Iterator[tuple[int, Int[Tensor, "_"]]]:
    """Yield the layers of the neurons, and which of them each has."""
    layers = neurons // n_neurons
    for layer in np.unique(layers).tolist():
        yield layer, torch.from_numpy(np.flatnonzero(layers == layer))


def _inside(
    lm: LanguageModel, neurons: Int[np.ndarray, " m"], rows: Int[Tensor, "_"]
) -> Int[Tensor, "_"]:
    """Return the places of some of the neurons in their layer."""
    return torch.from_numpy(neurons % lm.n_neurons)[rows]
