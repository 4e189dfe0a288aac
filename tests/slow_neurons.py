"""Slow, obvious ways to attributions and edits of neurons: full passes, one for every number."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

import references
from neuron_atlas.attributions.questions import Point, Question, points
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.scoring.trees import query
from published.knowledge.attributing import Start


def values_of(lm: LanguageModel, ids: Sequence[int], position: int) -> Tensor:
    """The hidden units at one position, by one full forward pass."""
    with torch.no_grad(), hooks.record(site_modules(lm, "hidden")) as found:
        lm.network(torch.tensor([list(ids)]))
    return torch.stack([found[i][0, position] for i in range(lm.n_layers)])


def slow_gradient(lm: LanguageModel, point: Point, layer: int, values: Tensor) -> Tensor:
    """The gradient of the token's probability at some values of one layer's hidden units."""
    entered = values.clone().requires_grad_()

    def change(x: Tensor) -> Tensor:
        there = (torch.arange(x.shape[1]) == point.position)[:, None]
        return torch.where(there, entered, x)

    with hooks.edit(site_modules(lm, "hidden"), {layer: change}):
        logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
    (found,) = torch.autograd.grad(logits.softmax(-1)[point.token], entered)
    return found


def _start(lm: LanguageModel, point: Point, start: Start) -> Tensor:
    if start == "zero":
        return torch.zeros(lm.n_layers, lm.n_neurons)
    filler = int(lm.mask_id if lm.architecture.encoder else lm.network.config.eos_token_id)
    variants = [[*point.ids[:i], filler, *point.ids[i + 1 :]] for i in range(len(point.ids))]
    return torch.stack([values_of(lm, ids, point.position) for ids in variants]).mean(0)


def attribution(lm: LanguageModel, question: Question, start: Start, steps: int) -> Tensor:
    """Value / m times the summed gradients, by a full pass per point, layer and step."""
    total = torch.zeros(lm.n_layers, lm.n_neurons)
    for point in points(lm, question):
        own, low = values_of(lm, point.ids, point.position), _start(lm, point, start)
        for layer in range(lm.n_layers):
            for k in range(1, steps + 1):
                at = low[layer] + k / steps * (own[layer] - low[layer])
                total[layer] += own[layer] * slow_gradient(lm, point, layer, at) / steps
    return total


def effect(
    lm: LanguageModel, prompt: str, answer: tuple[int, ...], neurons: np.ndarray, factor: float
) -> float:
    """Change of the answer's log-probability, nats, when neurons are multiplied, by full passes."""
    one = query(lm, prompt, [answer])
    first = len(one.prompt.before) - (not lm.architecture.encoder)
    last = first + len(answer) if lm.architecture.encoder else None
    changes = {}
    for layer in range(lm.n_layers):
        own = [n % lm.n_neurons for n in neurons.tolist() if n // lm.n_neurons == layer]
        changes[layer] = _scaled(own, factor, slice(first, last))
    clean = references.plain(lm, one, answer)
    with hooks.edit(site_modules(lm, "hidden"), changes):
        return references.plain(lm, one, answer) - clean


def _scaled(own: Sequence[int], factor: float, positions: slice) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        out = x.clone()
        out[:, positions, list(own)] *= factor
        return out

    return change
