"""How far an edit moves what the MLPs write, and how strong each neuron is by itself."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.model.language_model import LanguageModel
from published.places import Edit, mlp, opened

ROUNDS, FARTHEST = 6, 16.0  # of the search for a scale; the largest scale that it may choose
Inputs = Float[Tensor, "prompt layer d_model"]


@torch.no_grad()
def push(edit: Edit, inputs: Inputs) -> Float[np.ndarray, " prompt"]:
    """Return by how much an edit displaces the sum of what all MLPs add to the residual stream.

    Measured by running each MLP, and the norm behind it where the family has one, on what it reads
    at the answer position of the *unedited* model, with the edit and without: what an edit does to
    later layers' inputs is its effect and no part of its push.

    Returns:
        Norm of the displacement, in the unit of the residual stream; 0 if nothing moves.
    """
    lm = edit.places.lm
    layers = np.unique(edit.chosen // edit.places.width).tolist()
    if not layers:
        return np.zeros(len(inputs))
    clean = _written(lm, layers, inputs)
    with opened(edit, torch.ones(len(inputs), 1, dtype=torch.bool)):
        moved = _written(lm, layers, inputs)
    return np.asarray((moved - clean).norm(dim=-1).double().numpy())


def _written(lm: LanguageModel, layers: list[int], inputs: Inputs) -> Float[Tensor, "prompt d"]:
    total = torch.zeros(len(inputs), inputs.shape[-1])
    for layer in layers:
        body, norm = mlp(lm, layer)
        out = body(inputs[:, layer].contiguous()[:, None])  # strided, it is 50 times slower
        total += (out if norm is None else norm(out))[:, 0]
    return total


def scaled_to(edit: Edit, wanted: float, inputs: Inputs) -> Edit:
    """Return the edit with the scale at which its mean push is `wanted`, as far as it can be had.

    A norm behind the MLP bounds the push; then the nearest scale that was tried is taken.
    """
    best, low, high, scale = edit, 0.0, FARTHEST, 1.0
    gap = np.inf
    for _ in range(ROUNDS):
        tried = replace(edit, scale=scale)
        found = float(push(tried, inputs).mean())
        if abs(found - wanted) < gap:
            best, gap = tried, abs(found - wanted)
        low, high = (scale, high) if found < wanted else (low, scale)
        guess = scale * wanted / found if found > 0 else high
        scale = guess if low < guess < high else (low + high) / 2
    return best


@torch.no_grad()
def strengths(edit: Edit, inputs: Inputs) -> Float[np.ndarray, " total"]:
    """Return how far each neuron alone would displace its MLP's output, averaged over prompts.

    |w' - w| times the norm of what the neuron writes: for a hidden unit its column of the
    down-projection; for an output of gate or up the change of its hidden unit times that column;
    for an output of down 1. The norm behind the MLP is left out, alike for all of a layer.
    """
    lm = edit.places.lm
    values = edit.value.view(lm.n_layers, -1)
    found = [
        _of_layer(edit, layer, values[layer], inputs[:, layer]) for layer in range(lm.n_layers)
    ]
    return np.asarray(torch.cat(found).double().numpy())


def _of_layer(edit: Edit, layer: int, value: Tensor, x: Tensor) -> Tensor:
    body, _ = mlp(edit.places.lm, layer)
    gate, up = body.gate_proj(x), body.up_proj(x)
    act, column = body.act_fn, body.down_proj.weight.norm(dim=0)
    hidden = act(gate) * up
    parts, start = [], 0
    for site, width in zip(edit.places.sites, edit.places.widths, strict=True):
        new = value[start : start + width]
        start += width
        moved = {
            "hidden": lambda new: (new - hidden).abs() * column,
            "gate": lambda new: ((act(new) - act(gate)) * up).abs() * column,
            "up": lambda new: (act(gate) * (new - up)).abs() * column,
            "down": lambda new: (new - body.down_proj(hidden)).abs(),
        }[site](new)
        parts.append(moved.mean(dim=0))
    return torch.cat(parts)
