"""How far edits of neurons move the residual stream, and the gains that make them move as far.

A push is the norm of what is added to the residual stream at the answer position, summed over the
layers: of the sum of (w' - w) v over the edited neurons, with w and w' a neuron's value before and
after and v what it writes. In a family that norms the MLP's output, it is the change behind that
norm. Each layer's change is taken from the unedited model: what one layer does to the next is part
of the effect, not of the push.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from neuron_atlas.arms.gains import wanted_gains
from neuron_atlas.devices.running import weight
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring.ablation import Edits


@dataclass(frozen=True)
class Writing:
    """What a model's neurons write.

    Attributes:
        lm: The model.
        site: Which values of the MLP are neurons. Only a hidden unit's change and what it writes
            are multiplied in the model; the push of a raw `gate` or `up` output is taken as if they
            were. A raw `down` output writes itself.
    """

    lm: LanguageModel
    site: Site

    def columns(self, layer: int) -> Float[Tensor, "neuron d_model"]:
        """Return the columns of a layer's down-projection, in float32.

        They are made anew each time where the model is in another precision: those of all layers
        would take more memory than the model.
        """
        if self.site == "down":
            return torch.eye(self.lm.d_model, device=self.lm.device)
        found = weight(self.downs[layer]).detach().float()
        return found.T if isinstance(self.downs[layer], nn.Linear) else found

    @cached_property
    def downs(self) -> list[nn.Module]:
        """Each layer's down-projection; GPT-2's is no `nn.Linear`, its weights are transposed."""
        path = self.lm.architecture.down
        return [block.get_submodule(path) for block in self.lm.blocks]

    @cached_property
    def norms_after(self) -> list[nn.Module]:
        """What norms each MLP's output before it is added to the residual stream."""
        path = self.lm.architecture.down_norm
        if path is None:
            return [nn.Identity()] * len(self.downs)
        return [block.get_submodule(path) for block in self.lm.blocks]

    @cached_property
    def lengths(self) -> Float[Tensor, "layer neuron"]:
        """The norm of what each neuron writes."""
        every = (self.columns(i) for i in range(len(self.downs)))
        return torch.stack([torch.linalg.vector_norm(own, dim=1).cpu() for own in every])

    @cached_property
    def _grams(self) -> list[Float64[Tensor, "d_model d_model"]]:
        """In the host's memory: all layers' would fill a device."""
        found = []
        for i in range(len(self.downs)):
            own = self.columns(i).double()
            found.append(torch.linalg.pinv(own.T @ own, hermitian=True).cpu())
        return found

    def hidden_units(
        self, added: Float[Tensor, "draw layer d_model"]
    ) -> Float[Tensor, "draw layer neuron"]:
        """Return the smallest changes of the neurons that add these vectors to the outputs.

        Of a vector that they cannot write, the part that they can is added.
        """
        found = []
        for i, gram in enumerate(self._grams):
            columns = self.columns(i)
            factors = (added[:, i].cpu().double() @ gram).to(columns.device)
            found.append((factors @ columns.T.double()).float().cpu())
        return torch.stack(found, 1)


@dataclass(frozen=True)
class CleanValues:
    """Neuron values of some prompts at the answer position, without intervention, in float32."""

    writing: Writing
    values: Float[Tensor, "prompt layer neuron"]

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self.values)

    def moves(self, edits: Edits) -> Float[Tensor, "arm layer prompt d_model"]:
        """Return what each arm, all the way, adds to each layer's output on each prompt."""
        layers = []
        for i in range(self.values.shape[1]):
            columns = self.writing.columns(i)
            device = columns.device
            own = self.values[:, i].to(device)
            new = edits.value[edits.kind, i].to(device, torch.float32)[:, None]
            new = torch.addcmul(new, edits.scale[edits.kind].to(device)[:, None, None], own[None])
            chosen = edits.chosen[:, i].to(device)[:, None]
            added = torch.where(chosen, new - own, 0) @ columns
            layers.append(added.to(self.writing.lm.device))
        return torch.stack(layers, 1)

    def pushes(
        self,
        moves: Float[Tensor, "arm layer prompt d_model"],
        gains: Float[np.ndarray, "arm prompt"],
    ) -> Float64[np.ndarray, "arm prompt"]:
        """Return how far each arm, with its gain, moves the residual stream on each prompt."""
        gain = torch.from_numpy(gains).to(moves)[..., None]
        total = torch.zeros_like(moves[:, 0])
        for i, norm in enumerate(self.writing.norms_after):
            away = norm(self._outputs[i] + gain * moves[:, i]) - norm(self._outputs[i])
            total += away.to(total.device)
        return np.asarray(total.norm(dim=-1).double().cpu().numpy())

    def gains(
        self,
        moves: Float[Tensor, "arm layer prompt d_model"],
        wanted: Float[np.ndarray, "arm prompt"],
    ) -> Float64[np.ndarray, "arm prompt"]:
        """Return the gain with which each arm's push on each prompt is the wanted one.

        An arm that moves nothing keeps the gain 1. Behind a norm a push is not proportional to its
        gain and has a limit: what would need a gain above `gains.LARGEST` stays below it.
        """
        return wanted_gains(lambda gain: self.pushes(moves, gain), wanted)

    def strength(self, value: Float[Tensor, "layer neuron"]) -> Float64[np.ndarray, "layer neuron"]:
        """Return each neuron's own push if it were set to `value`: rms |w' - w| times |v|."""
        away = (value.float() - self.values).square().mean(0).sqrt()
        return np.asarray((away * self.writing.lengths).double().numpy())

    @cached_property
    def _outputs(self) -> Float[Tensor, "layer prompt d_model"]:
        """What each layer's down-projection makes of the values."""
        device, found = self.writing.lm.device, []
        for i, down in enumerate(self.writing.downs):
            columns = self.writing.columns(i)
            product = self.values[:, i].to(columns.device) @ columns
            if self.writing.site != "down" and getattr(down, "bias", None) is not None:
                product = product + weight(down, "bias").detach().float()
            found.append(product.to(device))
        return torch.stack(found)


def layer_norms(moves: Float[Tensor, "layer prompt d_model"]) -> Float64[np.ndarray, " layer"]:
    """Return the root-mean-square norm of what is added to each layer's output."""
    lengths = moves.double().norm(dim=-1)
    return np.asarray(lengths.square().mean(-1).sqrt().cpu().numpy())


def direction(
    lengths: Float[np.ndarray, " layer"], d_model: int, rng: np.random.Generator
) -> Float[Tensor, "layer d_model"]:
    """Draw a random vector for each layer's output, isotropic, of the layer's length."""
    drawn = rng.standard_normal((len(lengths), d_model))
    drawn *= (lengths / np.linalg.norm(drawn, axis=1))[:, None]
    return torch.from_numpy(drawn).float()
