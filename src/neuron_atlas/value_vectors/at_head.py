"""What a neuron adds to the logits past all later layers: its value vector, read by the head.

A neuron's value vector is what one unit of its value writes: its column of the down-projection
(Geva et al. 2021, arXiv 2012.14913; 2022, arXiv 2203.14680). It goes through the gain of the norm
behind the MLP, where a family has one, and of the model's last norm, and is multiplied with the
output embeddings, after the projection to their width where they have another. What a norm divides
by is left out: it is one positive factor per prompt, which changes no order of tokens. In post-norm
blocks the neuron's own norm is kept, and those of later layers are left out, as in
`other_selectors.scores.direct_logits`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from neuron_atlas.attributions.clean_pass import CleanPass, on_clean_passes
from neuron_atlas.attributions.questions import Question
from neuron_atlas.devices.running import device_of, weight
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel

CHUNK = 1 << 16  # tokens of the vocabulary that are multiplied at a time; a matter of memory
Vectors = Float[Tensor, "vector d_model"]
AtHead = Float[Tensor, "vector width"]  # of the output embeddings, which may be another


@dataclass(frozen=True)
class ValueVectors:
    """What a model's neurons write, as its head reads it.

    Attributes:
        lm: The model.
        site: Which values of the MLP are neurons. A raw `gate` or `up` output is taken for the
            hidden unit that is made of it; a raw `down` output writes itself.
        questions: Where what comes before an encoder's head is linearised: the mean of its
            derivative over their last points. Not needed for decoders.
    """

    lm: LanguageModel
    site: Site
    questions: Sequence[Question] = ()

    @property
    def n_tokens(self) -> int:
        """Rows of the output embeddings."""
        return len(self.lm.head.weight)

    def of_neurons(self, layer: int, index: Int[Tensor, " vector"]) -> AtHead:
        """Return the head's input per unit of each neuron of a layer, but for a positive factor."""
        return self.at_head(self.behind_block(layer, self.columns(layer, index)))

    def columns(self, layer: int, index: Int[Tensor, " vector"]) -> Vectors:
        """Return what each neuron of a layer writes: its column of the down-projection."""
        down = self.down(layer)
        if self.site == "down":
            every = torch.eye(self.lm.d_model, device=self.lm.device)
            return every[index.to(self.lm.device)]
        weights = weight(down).detach()
        index = index.to(weights.device)
        own = weights[:, index].T if isinstance(down, nn.Linear) else weights[index]
        return own.float().to(self.lm.device)

    def down(self, layer: int) -> nn.Module:
        """Return a layer's down-projection; GPT-2's is no `nn.Linear`: its weight is transposed."""
        return self.lm.blocks[layer].get_submodule(self.lm.architecture.down)

    def norm_behind(self, layer: int) -> nn.Module | None:
        """Return what norms the MLP's output before it is added to the residual stream, if any."""
        path = self.lm.architecture.down_norm
        return None if path is None else self.lm.blocks[layer].get_submodule(path)

    def behind_block(self, layer: int, vectors: Vectors) -> Vectors:
        """Return what vectors that a layer's down-projection writes add to the block's output."""
        row, block = self.lm.architecture, self.lm.blocks[layer]
        for path in (row.down_norm, row.sum_norm):
            if path is not None:
                vectors = through_norm(block.get_submodule(path), vectors)
        return vectors

    def at_head(self, vectors: Vectors) -> AtHead:
        """Return what vectors of the residual stream behind the last block add to the head's input.

        In an encoder, whose head has layers of its own, to the first order.
        """
        if self._before_head is not None:
            return vectors @ self._before_head.T
        for step in self.lm.ending:
            vectors = through(step, vectors)
        return vectors

    def rows(self, tokens: Int[Tensor, " token"]) -> Float[Tensor, "token width"]:
        """Return the output embeddings of some tokens, in the model's precision."""
        return self.lm.head.weight.detach()[tokens.to(self.lm.device)]

    @cached_property
    def _before_head(self) -> Float[Tensor, "width d_model"] | None:
        """The mean derivative of what comes between the last block and the head, in an encoder."""
        lm = self.lm
        if not lm.architecture.transform:
            return None

        def slopes(clean: CleanPass) -> list[Tensor]:
            rows = clean.trace.output
            return [derivative(lm.head_input, row).float().to(lm.device) for row in rows]

        total, n = torch.zeros(lm.head.weight.shape[1], lm.d_model, device=lm.device), 0
        for found in on_clean_passes(lm, self.questions, slopes):
            for slope in found:
                total += slope
            n += len(found)
        if n == 0:
            raise ValueError(
                f"{lm.network.config.model_type} has layers between its blocks and its output "
                "embeddings; expected questions at which to linearise them, got none"
            )
        return total / n


def logits(heads: AtHead, rows: Float[Tensor, "token width"]) -> Float[Tensor, "vector token"]:
    """Return what each vector of the head's input adds to some tokens' logits, in float32."""
    if rows.dtype == torch.float32:
        return heads @ rows.T
    return torch.cat([heads @ part.float().T for part in torch.split(rows, CHUNK)], 1)


def through(step: nn.Module, vectors: Vectors) -> AtHead:
    """Return vectors behind a step between the last block and the head: a norm, or a projection."""
    if isinstance(step, nn.Linear):
        return vectors @ step.weight.detach().float().T
    return through_norm(step, vectors)


def through_norm(norm: nn.Module, vectors: Vectors) -> Vectors:
    """Return vectors behind a norm, but for what it divides by: centred or not, with its gain.

    The bias is no part of what a vector adds.
    """
    if isinstance(norm, nn.LayerNorm):
        centred = vectors - vectors.mean(1, keepdim=True)
        if norm.weight is None:
            return centred
        return centred * weight(norm).detach().float().to(vectors.device)
    dtype = next(norm.parameters()).dtype
    ones = torch.ones(1, vectors.shape[1], device=device_of(norm), dtype=dtype)
    gain: Tensor = norm(ones)  # whose root mean square is 1 already
    return vectors * gain.detach().float().to(vectors.device)


def derivative(
    step: Callable[[Tensor], Tensor], at: Float[Tensor, " d_model"]
) -> Float[Tensor, "width d_model"]:
    """Return the derivative of a step at one of its inputs: outputs by inputs."""
    with torch.enable_grad():
        found = jacobian(  # type: ignore[no-untyped-call]
            lambda x: step(x[None])[0], at.detach().clone(), vectorize=True
        )
    return cast("Tensor", found)
