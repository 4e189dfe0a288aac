"""Attributions as the papers compute them: a neuron's value times the mean gradient on its way."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import occlusion
from neuron_atlas.attributions.batches import nodes_at_once
from neuron_atlas.attributions.clean_pass import CleanPass, Method, PointScores, target_of
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.model.language_model import LanguageModel

Start = Literal["zero", "tokens"]
Values = Float[Tensor, "point layer neuron"]


def published_method(
    lm: LanguageModel, *, start: Start, steps: int, layers: Sequence[int] | None = None
) -> Method:
    """Return w / m * sum over k = 1..m of dF(w' + k / m (w - w')) / dw, for `run_methods`.

    F is the probability of the answer's token, added up over the answer's tokens. Dai et al. 2022
    (arXiv 2104.08696, section 3.1) start at w' = 0. Chen et al. 2024 (arXiv 2308.13198, equations 3
    and 4) start where a token is hidden, and keep the factor w, so that the scores do not sum to
    the change of F; as their code does, the starts of all tokens, special ones and the answer
    position among them, are averaged into one path, where their equation 5 adds one path for each
    word.

    Deviations from both codes: k runs from 1 as in the papers, not from 0; the gold answer in its
    true case is forced, not the model's own words; a neuron is what enters the down-projection.

    Args:
        lm: The model.
        start: Where the path begins.
        steps: m.
        layers: Layers whose neurons are scored; all others get 0. None takes all.

    Raises:
        ValueError: there is no step.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    wanted = list(range(lm.n_layers)) if layers is None else sorted(layers)

    def run(clean: CleanPass) -> PointScores:
        low = _starts(clean, start)
        value, own = clean.gradient("probability")
        scores = torch.zeros_like(own)
        total = own + _inner_gradients(clean, low, steps, wanted)
        scores[:, wanted] = (clean.trace.values.float() * total / steps)[:, wanted]
        return scores, value, torch.full_like(scores[:, :, 0], torch.nan)

    return run


def _starts(clean: CleanPass, start: Start) -> Values:
    """Return w' of each point."""
    if start == "zero":
        return torch.zeros_like(clean.trace.values)
    found = [
        occlusion.occluded_values(clean.lm, [p], [[(i,) for i in range(len(p.ids))]])[0].mean(0)
        for p in clean.batch.points
    ]
    return torch.stack(found)


def _inner_gradients(clean: CleanPass, low: Values, steps: int, layers: Sequence[int]) -> Values:
    """Sum the gradients at all nodes but the last, which is the neurons' own value."""
    total = torch.zeros(low.shape, device=low.device)
    size = nodes_at_once(clean.lm, clean.batch, n_layers=len(layers))
    for first in range(1, steps, size):
        nodes = torch.arange(first, min(first + size, steps), device=low.device) / steps
        total += _gradients(clean, low, nodes, layers)
    return total


def _gradients(
    clean: CleanPass, low: Values, nodes: Float[Tensor, " node"], layers: Sequence[int]
) -> Values:
    """Sum the gradients at some nodes; each layer is moved by itself."""
    entries: list[Tensor | None] = [None] * clean.lm.n_layers
    for layer in layers:
        step = (clean.trace.values - low)[:, layer, None]
        at = low[:, layer, None] + nodes.to(low)[:, None] * step
        entries[layer] = at.contiguous().requires_grad_()
    entered = [x for x in entries if x is not None]
    with torch.enable_grad():
        value = target_of(
            clean.lm, run_rows(clean.lm, clean.trace, entries), clean.batch, "probability"
        )
        found = torch.autograd.grad(value.sum(), entered)
    total = torch.zeros(low.shape, device=low.device)
    for layer, gradient in zip(layers, found, strict=True):
        total[:, layer] = gradient.float().sum(1)
    return total
