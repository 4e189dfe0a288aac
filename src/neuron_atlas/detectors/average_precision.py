"""Scores of every neuron as a detector of groups of prompts."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Real
from torch import Tensor


def average_precision(
    values: Real[Tensor, "prompt neuron"],
    groups: Bool[Tensor, "group prompt"],
    *,
    ignore: Bool[Tensor, "group prompt"] | None = None,
    chunk: int = 1024,
) -> Float64[Tensor, "group neuron"]:
    """Score every neuron as a detector of every group, from one sort per neuron.

    AP of a neuron for a group = mean over the group's prompts p of P(p) / (P(p) + N(p)), with P
    and N the positive and negative prompts whose value is at least p's. Equal values are one
    threshold, as in `sklearn.metrics.average_precision_score`; Liu et al. 2025 (arXiv 2502.17355)
    and Suau et al. 2022 (arXiv 2110.02802), who rank neurons by AP, leave ties open.

    Args:
        values: Neuron values, one position per prompt, any site. bfloat16 is compared exactly.
        groups: Positive prompts of each group. Groups may overlap.
        ignore: Prompts neither positive nor negative for a group: its relation's other templates.
        chunk: Neurons held at a time; it bounds memory and does not change the result.

    Returns:
        AP in (0, 1]: 1 for a neuron that puts the group first, the group's share of the used
        prompts for a constant neuron.

    Raises:
        ValueError: a value is not finite, a group lacks positive or negative prompts, a prompt is
            both positive and ignored, or `chunk` is below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 neuron, got {chunk}")
    ignore = _checked_ignore(values, groups, ignore)
    pairs = [(g.nonzero()[:, 0], i.nonzero()[:, 0]) for g, i in zip(groups, ignore, strict=True)]
    ranks = map(_at_least, torch.split(values, chunk, dim=1))
    parts = [torch.stack([_mean_precision(r, p, i) for p, i in pairs]) for r in ranks]
    return torch.cat(parts, dim=1)


def standardised_gap(
    values: Real[Tensor, "prompt neuron"],
    groups: Bool[Tensor, "group prompt"],
    *,
    ignore: Bool[Tensor, "group prompt"] | None = None,
) -> Float64[Tensor, "group neuron"]:
    """Return (mean over positives - mean over negatives) / standard deviation over both.

    Our own tie-breaker between neurons of equal AP. Arguments and errors as in `average_precision`.

    Returns:
        Gap in population standard deviations; 0 where that is 0 up to rounding. Shifting a neuron
        or multiplying it by a positive number leaves its gap as it is.
    """
    used = ~_checked_ignore(values, groups, ignore)
    centred = values.double() - values.double().mean(dim=0)  # no cancellation in the squares below
    positive = _mean_over(groups, centred)
    negative = _mean_over(used & ~groups, centred)
    mean_square = _mean_over(used, centred.square())
    variance = mean_square - _mean_over(used, centred).square()
    rounding = values.shape[0] * torch.finfo(torch.float64).eps * mean_square
    varies = variance > rounding
    return torch.where(varies, (positive - negative) / variance.where(varies, 1).sqrt(), 0)


def template_robust(
    per_template: Float[Tensor, "template *neuron"], how: Literal["min", "mean"]
) -> Float[Tensor, "*neuron"]:
    """Combine a relation's scores over its templates, so that no single wording decides.

    Args:
        per_template: Scores with one template as positives and the relation's others ignored.
        how: "min" wants a high score with every template, "mean" on average.

    Returns:
        Scores in the same unit; the minimum is never above the mean.

    Raises:
        ValueError: there is no template.
    """
    if per_template.shape[0] == 0:
        raise ValueError(f"need at least one template, got scores of {tuple(per_template.shape)}")
    return per_template.amin(dim=0) if how == "min" else per_template.mean(dim=0)


def rank(score: Float[Tensor, "*axes"], *tie_breakers: Float[Tensor, "*axes"]) -> Int[Tensor, " n"]:
    """Order neurons by score, best first, then by each tie-breaker, then by index.

    Args:
        score: Higher is better, e.g. AP as "layer neuron".
        tie_breakers: Higher is better, e.g. the standardised gap.

    Returns:
        All flat indices (layer * n_neurons + index), each once; the same on every machine.

    Raises:
        ValueError: a key is NaN.
    """
    order = torch.arange(score.numel(), device=score.device)
    for key in reversed((score, *tie_breakers)):
        if key.isnan().any():
            first = int(key.isnan().flatten().nonzero()[0])
            raise ValueError(f"expected numbers to rank, got NaN at flat index {first}; drop it")
        order = order[key.flatten()[order].argsort(descending=True, stable=True)]
    return order


def _at_least(values: Real[Tensor, "prompt neuron"]) -> Int[Tensor, "neuron prompt"]:
    """Count the prompts whose value is at least each prompt's own: ranks that keep ties."""
    wide = values.float() if values.element_size() < 4 else values  # exact; sorts faster
    rows = wide.T.contiguous()
    below = torch.searchsorted(rows.sort(dim=1).values, rows, out_int32=True)
    return values.shape[0] - below


def _mean_precision(
    at_least: Int[Tensor, "neuron prompt"],
    positive: Int[Tensor, " positive"],
    ignored: Int[Tensor, " ignored"],
) -> Float64[Tensor, " neuron"]:
    """Return the mean over positives of positives / used prompts at or above each."""
    own = at_least[:, positive].sort(dim=1).values
    hits = torch.searchsorted(own, own, right=True)
    skipped = at_least[:, ignored].sort(dim=1).values
    used = own - torch.searchsorted(skipped, own, right=True)
    return (hits.double() / used).mean(dim=1)


def _mean_over(
    mask: Bool[Tensor, "group prompt"], values: Float64[Tensor, "prompt neuron"]
) -> Float64[Tensor, "group neuron"]:
    return mask.double() @ values / mask.sum(dim=1, keepdim=True)


def _checked_ignore(
    values: Real[Tensor, "prompt neuron"],
    groups: Bool[Tensor, "group prompt"],
    ignore: Bool[Tensor, "group prompt"] | None,
) -> Bool[Tensor, "group prompt"]:
    """Check that the three fit each other; return `ignore`, by default a mask of no prompt."""
    if not (finite := values.isfinite()).all():
        prompt, neuron = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"values must be finite, got {values[prompt, neuron].item()} at prompt {prompt}, "
            f"neuron {neuron}; record that prompt in float32 or drop it"
        )
    ignore = torch.zeros_like(groups) if ignore is None else ignore
    problems = {
        "has no positive prompt; drop the group": ~groups.any(dim=1),
        "has no negative prompt; add other groups' prompts": (groups | ignore).all(dim=1),
        "has a prompt both positive and ignored; clear one": (groups & ignore).any(dim=1),
    }
    for problem, found in problems.items():
        if found.any():
            raise ValueError(f"group {int(found.nonzero()[0])} of {len(groups)} {problem}")
    return ignore
