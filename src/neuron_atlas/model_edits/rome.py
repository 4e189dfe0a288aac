"""ROME: give one layer's matrix a new value for the subject's key, by an update of rank one."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model_edits.fit_prompts import FitPrompts, first_token_gaps
from neuron_atlas.model_edits.key_covariance import KeyCovariance
from neuron_atlas.model_edits.replay import Replay
from neuron_atlas.model_edits.sequences import Sequences, run_body
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import columns


def edit_by_rome(
    lm: LanguageModel,
    prompts: FitPrompts,
    layer: int,
    covariance: KeyCovariance,
    how: Descent,
    *,
    max_norm: float,
) -> Float[Tensor, "fact neuron d_model"]:
    """Return, for each fact, what to add to the layer's value vectors: all of its matrix.

    Meng et al. 2022 (arXiv 2202.05262, section 3.1, equation 2): with W the matrix, k* the key of
    the subject and v* its new value, W + (v* - W k*) (C^-1 k*)^T / (k*^T C^-1 k*). In a gated MLP
    the matrix is the down-projection, its keys are what it reads and its values what it writes,
    before any norm behind it. Deviations: k* is the mean over the prompts that all arms are fitted
    to, of all sources, in place of random prefixes; C is of the run's own prompts
    (`key_covariance`); v* minimises the loss of the other arms (`descent.search`), which is about
    the two answers alone and has no term for the subject's essence, in as many steps of the same
    kind; a fact's prompts are run whole, since the value acts at the subject's last token.

    Args:
        lm: The model, frozen.
        prompts: What the facts are fitted to.
        layer: Whose down-projection changes.
        covariance: Of the layer's keys.
        how: Steps and margin; `rate` is relative to the length of W k*, `max_norm` is not used.
        max_norm: Largest change of the value, relative to the length of W k*.

    Returns:
        float32; k* times it is the change of the value, and a key k with k^T C^-1 k* = 0 is left
        alone.
    """
    batch = Sequences.of([p.ids for p in prompts.points], lm.device)
    replay = Replay(lm)
    with torch.no_grad(), replay.record(), hooks.record(_sites(lm, layer)) as recorded:
        run_body(lm, batch)
    key = _mean_by_fact(prompts, recorded[0].to(lm.device))
    length = (key @ columns(lm, layer).float().to(lm.device)).norm(dim=1)
    run = partial(_run_above, lm, replay, batch, layer)
    change = _new_value(lm, prompts, run, layer, how, length, max_norm)
    return rank_one(key, change, covariance)


def rank_one(
    key: Float[Tensor, "fact neuron"],
    change: Float[Tensor, "fact d_model"],
    covariance: KeyCovariance,
) -> Float[Tensor, "fact neuron d_model"]:
    """Return the updates of rank one that move each key's value by `change`."""
    pull = covariance.solve(key)
    size = (pull * key.double()).sum(
        1, keepdim=True
    )  # 0 only for a key of zeros, which has no pull
    pull = pull / size.clamp_min(torch.finfo(size.dtype).tiny)
    return torch.einsum("fn,fd->fnd", pull, change.double()).float()


def _run_above(lm: LanguageModel, replay: Replay, batch: Sequences, layer: int) -> Tensor:
    """Run the prompts again from a layer on."""
    with replay.below(layer):
        return run_body(lm, batch)


def _new_value(
    lm: LanguageModel,
    prompts: FitPrompts,
    run: Callable[[], Tensor],
    layer: int,
    how: Descent,
    length: Float[Tensor, " fact"],
    max_norm: float,
) -> Float[Tensor, "fact d_model"]:
    """Fit what is added to each fact's value, relative to whose length steps and bound are."""
    fact = prompts.fact.to(lm.device)
    delta = torch.zeros(len(length), columns(lm, layer).shape[1], device=lm.device)
    for _ in range(how.steps):
        leaf = delta.detach().requires_grad_()
        with torch.enable_grad(), hooks.edit(_written(lm, layer), {0: _added(prompts, leaf)}):
            short = (how.margin - first_token_gaps(lm, prompts.points, run())).clamp_min(0)
            (slope,) = torch.autograd.grad(short.sum(), leaf)
        loss = torch.zeros_like(length).index_add_(0, fact, short.detach())
        if not loss.any():
            break
        steep = slope.norm(dim=1).clamp_min(1e-30)
        move = torch.minimum(loss / steep, how.rate * length) / steep
        delta = _within(delta - move[:, None] * slope, max_norm * length)
    return delta


def _within(
    delta: Float[Tensor, "fact d_model"], bound: Float[Tensor, " fact"]
) -> Float[Tensor, "fact d_model"]:
    """Shorten what is longer than its bound."""
    allowed = bound / delta.norm(dim=1).clamp_min(1e-30)
    shorter: Tensor = delta * allowed.clamp_max(1.0)[:, None]
    return shorter


def _added(prompts: FitPrompts, delta: Float[Tensor, "fact d_model"]) -> Callable[[Tensor], Tensor]:
    """Return the change that adds each fact's delta at its subjects' last tokens."""

    def change(output: Tensor) -> Tensor:
        places = torch.arange(output.shape[1], device=output.device)
        there = places == prompts.subject.to(output.device)[:, None]
        own = delta[prompts.fact.to(delta.device)].to(output)
        return output + there[..., None] * own[:, None]

    return change


def _mean_by_fact(
    prompts: FitPrompts, keys: Float[Tensor, "prompt token neuron"]
) -> Float[Tensor, "fact neuron"]:
    """Return the mean key over each fact's prompts, at the subject's last token."""
    fact, subject = prompts.fact.to(keys.device), prompts.subject.to(keys.device)
    own = keys[torch.arange(len(keys), device=keys.device), subject].float()
    count = torch.bincount(fact)
    total = torch.zeros(len(count), own.shape[1], device=keys.device).index_add_(0, fact, own)
    return total / count[:, None]


def _sites(lm: LanguageModel, layer: int) -> hooks.Modules:
    return [site_modules(lm, "hidden")[layer]]


def _written(lm: LanguageModel, layer: int) -> hooks.Modules:
    return [(site_modules(lm, "hidden")[layer][0], False)]
