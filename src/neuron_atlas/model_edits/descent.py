"""Fit value edits by a few steps of gradient descent, for many sets of neurons at once.

During the fit an edit acts at the answer position only, where each row of `resume.run_rows` costs
one token through the layers above the lowest edited neuron. Its effect as a real edit, at all
positions, is measured afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.attributions.questions import Point
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.targets import target_values
from neuron_atlas.attributions.trace import Trace, record_trace
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import columns


@dataclass(frozen=True)
class FitTask:
    """Prompts that shall get a new answer, and the sets of neurons; each set is to do it alone.

    Attributes:
        prompts: For each prompt a point whose token is the new answer's first and whose choices
            are that and the old answer's first.
        fact: The fact of each prompt, whose sets are edited.
        neurons: Flat indices; all sets have the same size.
        train: Which vectors may change.
        use: Which prompts each set is fitted to.
    """

    prompts: Sequence[Point]
    fact: Int[Tensor, " point"]
    neurons: Int[Tensor, "fact set m"]
    train: Bool[Tensor, "fact set m"]
    use: Bool[Tensor, "point set"]


def search(
    lm: LanguageModel,
    task: FitTask,
    how: Descent,
    *,
    start: Float[Tensor, "fact set m d_model"] | None = None,
) -> Float[Tensor, "fact set m d_model"]:
    """Return, for each set, what to add to its value vectors.

    Minimises the sum over each set's prompts of max(0, margin - (log p(new) - log p(old))) at the
    answer's first token, by gradient descent that keeps each vector's change within `max_norm`. A
    step has the length that would bring a linear loss to 0 (Polyak 1987, section 5.3.2), so that an
    edit is no larger than needed, whatever the model's scale. It ends early once all losses are 0.
    Nothing in it is random.

    Args:
        lm: The model, frozen.
        task: The new answers, and the neurons that may change.
        how: Steps and bounds.
        start: An edit that is already in force; its vectors outside `train` stay as they are.

    Returns:
        float32; 0, or `start`, where `train` is False.
    """
    clean = record_trace(lm, task.prompts)
    length = _lengths(lm, task.neurons)
    shape = (*task.neurons.shape, columns(lm, 0).shape[1])
    delta = torch.zeros(shape, device=lm.device) if start is None else start.clone()
    held, train = delta.clone(), task.train.to(lm.device)[..., None]
    reach = (length * train[..., 0]).norm(dim=2)
    for _ in range(how.steps):
        loss, slope = loss_and_slope(lm, clean, task, delta, how.margin)
        if not loss.any():
            break
        slope = slope * train
        steep = slope.flatten(2).norm(dim=2).clamp_min(1e-30)
        move = torch.minimum(loss / steep, how.rate * reach) / steep
        moved = delta - held - move[..., None, None] * slope
        allowed = how.max_norm * length / moved.norm(dim=3).clamp_min(1e-30)
        delta = held + moved * allowed.clamp_max(1.0)[..., None]
    return delta


def _lengths(lm: LanguageModel, neurons: Tensor) -> Float[Tensor, "fact set m"]:
    own = {i: columns(lm, i).float().norm(dim=1) for i in range(lm.n_layers)}
    return lm.stacked(own, 0).flatten()[neurons.to(lm.device)]


def loss_and_slope(
    lm: LanguageModel, clean: Trace, task: FitTask, delta: Tensor, margin: float
) -> tuple[Float[Tensor, "fact set"], Float[Tensor, "fact set m d_model"]]:
    """Return each set's loss and its gradient; sets are independent, so one sum serves all."""
    leaf = delta.detach().requires_grad_()
    with torch.enable_grad():
        short = (margin - gaps(lm, clean, task, leaf)).clamp_min(0)
        short = short * task.use.to(short)
        (slope,) = torch.autograd.grad(short.sum(), leaf)
    loss = torch.zeros(task.neurons.shape[:2], device=delta.device)
    return loss.index_add_(0, task.fact.to(loss.device), short.detach()), slope


def gaps(
    lm: LanguageModel, clean: Trace, task: FitTask, delta: Float[Tensor, "fact set m d_model"]
) -> Float[Tensor, "point set"]:
    """Return log p(new) - log p(old) at the answer's first token with each set edited, nats."""
    layers = torch.unique(task.neurons // lm.n_neurons).tolist()
    lowest, n_sets = min(layers), task.neurons.shape[1]
    inside = site_modules(lm, "hidden")
    both = [*inside, *((module, False) for module, _ in inside)]
    changes: dict[int, hooks.Change] = {}
    for layer in layers:
        writer = _Writer(lm, task, delta, layer)
        changes |= {layer: writer.read, lm.n_layers + layer: writer.write}
    with hooks.edit(both, changes):
        output = run_rows(lm, clean, [None] * lm.n_layers, whole=(lowest, n_sets))
    new, old = task.prompts, [_other(p) for p in task.prompts]
    return target_values(lm, output, new, "candidates") - target_values(
        lm, output, old, "candidates"
    )


def _other(point: Point) -> Point:
    return point._replace(token=next(c for c in point.choices if c != point.token))


class _Writer:
    """Adds to one layer's output what the edit adds: each neuron's value times its delta."""

    def __init__(self, lm: LanguageModel, task: FitTask, delta: Tensor, layer: int) -> None:
        neurons, owner = task.neurons.to(lm.device), task.fact.to(lm.device)
        here = (neurons // lm.n_neurons == layer)[owner]
        own = lm.devices[layer]
        self._index = ((neurons % lm.n_neurons)[owner] * here).to(own)
        self._delta = (delta.index_select(0, owner) * here[..., None]).to(own, lm.dtype)
        self._values = delta

    def read(self, x: Tensor) -> Tensor:
        rows = x.view(*self._index.shape[:2], -1, x.shape[-1])
        index = self._index[:, :, None].expand(-1, -1, rows.shape[2], -1)
        self._values = rows.gather(3, index)
        return x

    def write(self, output: Tensor) -> Tensor:
        added = torch.einsum("prtm,prmd->prtd", self._values, self._delta)
        return output + added.reshape(output.shape)
