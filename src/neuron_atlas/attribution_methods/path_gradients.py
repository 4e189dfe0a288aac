"""The mean gradient along each path from a baseline to the neurons' own values."""

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.clean_pass import CleanPass, target_of
from neuron_atlas.attributions.quadrature import OWN, Quadrature
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.settings import Target

ROWS = 2048  # tokens of the rows of all layers together; a matter of memory


def mean_gradients(
    clean: CleanPass,
    low: Float[Tensor, "point path layer neuron"],
    rule: Quadrature,
    target: Target,
) -> Float[Tensor, "point path layer neuron"]:
    """Return the integral over a in [0, 1] of dF(w' + a (w - w')) / dw, by layer.

    One layer's neurons at the answer position are moved at a time. Times w - w' it is the
    integrated gradient of `gradients.integrated_gradients`; here every path is integrated alike.

    Args:
        clean: The clean pass, whose values are w.
        low: w', one or more for each point.
        rule: Where the gradient is evaluated.
        target: F.
    """
    total = torch.zeros(low.shape, device=low.device)
    for node, weight in rule:
        if node == OWN:
            total += weight * clean.gradient(target)[1][:, None]
            continue
        total += weight * torch.cat(
            [_at(clean, part, node, target) for part in torch.split(low, _at_once(clean), 1)], 1
        )
    return total


def _at_once(clean: CleanPass) -> int:
    return max(1, ROWS // (clean.lm.n_layers * clean.trace.outputs[0].shape[1]))


def _at(
    clean: CleanPass, low: Float[Tensor, "point path layer neuron"], node: float, target: Target
) -> Float[Tensor, "point path layer neuron"]:
    own = clean.trace.values[:, None]
    moved = (low + node * (own - low)).unbind(2)
    entries = [x.contiguous().requires_grad_() for x in moved]
    with torch.enable_grad():
        value = target_of(clean.lm, run_rows(clean.lm, clean.trace, entries), clean.batch, target)
        slopes = torch.autograd.grad(value.sum(), entries)
    return torch.stack([slope.float() for slope in slopes], 2)
