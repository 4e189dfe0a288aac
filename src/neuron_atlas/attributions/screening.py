"""Which paths are integrated: those on which the target changes, to the first order, enough."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.attributions.quadrature import Quadrature

FULL_FROM = 4.0  # times `share`: paths above it get the full rule


@dataclass(frozen=True)
class Screen:
    """How paths are told apart before they are integrated.

    A path is one layer's, from the values with one word hidden to the neurons' own. Its first-order
    change is the sum over neurons of |gradient * (w - w')| at their own values, which costs nothing
    more: attribution patching (Nanda 2023; Syed et al. 2023, arXiv 2310.10348) proposes,
    integrated gradients confirm.

    Attributes:
        share: Of the prompt's first-order change over all paths; a path with less keeps the
            gradient at its end, one with up to `FULL_FROM` times it gets the rule `middle`.
        middle: The rule between the end alone and the full rule.
    """

    share: float
    middle: Quadrature

    def ranks(self, change: Float[Tensor, "point word layer"]) -> Int[Tensor, "point word layer"]:
        """Return 0 for paths that keep the end's gradient, 1 for the middle rule, 2 for the other.

        Args:
            change: The first-order change of each path, in any unit.
        """
        part = change / change.sum((1, 2), keepdim=True).clamp_min(torch.finfo(change.dtype).tiny)
        return (part > self.share).long() + (part > FULL_FROM * self.share).long()
