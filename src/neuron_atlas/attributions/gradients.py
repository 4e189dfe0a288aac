"""Integrated gradients of an answer with respect to every hidden unit at the answer position."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import occlusion
from neuron_atlas.attributions.batches import Batch, nodes_at_once
from neuron_atlas.attributions.clean_pass import (
    Attributed,
    Factors,
    Pass,
    Run,
    Scored,
    target_of,
    together,
)
from neuron_atlas.attributions.quadrature import Quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.resume import climb
from neuron_atlas.attributions.targets import Target
from neuron_atlas.attributions.trace import Trace
from neuron_atlas.model.language_model import LanguageModel

Baseline = Literal["zero", "mean", "occlusion"]
Mean = Float[Tensor, "layer neuron"]
OWN = 1.0  # the node at which a path has reached the neurons' own values


def integrated_gradients(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    baseline: Baseline,
    rule: Quadrature,
    target: Target,
    mean: Mean | None = None,
    keep: Factors | None = None,
    check: bool = True,
) -> Iterator[Attributed]:
    """Yield the integrated gradients of every neuron of every layer, batch by batch.

    Attr = (w - w') * integral over a in [0, 1] of dF(w' + a (w - w')) / dw: Sundararajan et al.
    2017 (arXiv 1703.01365, equation 1), with one layer's neurons at the answer position as the
    input: Dai et al. 2022 (arXiv 2104.08696, equation 2, where w' = 0) and Chen et al. 2024 (arXiv
    2308.13198, equations 2-5). As in Chen et al.'s equation 5, `occlusion` adds up one path a word.
    Unlike their equation 4 the factor is w - w', so that the scores of a layer sum to the change of
    F (completeness); unlike their code, special tokens and the answer position are no words, gold
    tokens are forced in their true case, and the neuron is the value that enters the
    down-projection.

    Args:
        lm: The model, frozen.
        questions: Prompts with their answers.
        baseline: w': 0, the given `mean`, or the values with each word of the query hidden.
        rule: Where the gradient is evaluated.
        target: F; see `targets.score`. An answer of several tokens is the sum over its points, each
            with the neurons of its own position.
        mean: For the baseline `mean`.
        keep: Factors on the neurons at the answer position, in force before all else: 0 for a
            neuron that an earlier edit has switched off.
        check: Compute the differences too.

    Yields:
        Results in an order of the engine's own; `places` names the questions.

    Raises:
        ValueError: a score is not finite, or `mean` is missing.
    """
    run = paths(lm, baseline=baseline, rule=rule, target=target, mean=mean, check=check)
    for found in together(lm, questions, {"one": run}, by_words=baseline == "occlusion", keep=keep):
        yield found["one"]


def gradient_activation(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    target: Target,
    keep: Factors | None = None,
) -> Iterator[Attributed]:
    """Yield value x gradient of every neuron: one point of the path, one row a prompt.

    Shrikumar et al. 2016 (arXiv 1605.01713). Arguments as in `integrated_gradients`; `difference`
    is 0, since nothing is said of sums.
    """
    for found in together(lm, questions, {"one": slopes(target=target)}, keep=keep):
        yield found["one"]


def own_values(lm: LanguageModel, questions: Sequence[Question]) -> Iterator[Attributed]:
    """Yield each neuron's value at the answer position, the mean over the answer's points."""
    for found in together(lm, questions, {"one": own}):
        yield found["one"]


def paths(
    lm: LanguageModel,
    *,
    baseline: Baseline,
    rule: Quadrature,
    target: Target,
    mean: Mean | None = None,
    check: bool = True,
) -> Run:
    """Return the method `integrated_gradients`, to be run `together` with others.

    Unless `check`, the differences are NaN: a fourth of the work or more is theirs.

    Raises:
        ValueError: `mean` is missing, or given for another baseline.
    """
    if (baseline == "mean") != (mean is not None):
        raise ValueError(f"baseline {baseline!r}: `mean` goes with the baseline 'mean' alone")

    def run(clean: Pass) -> Scored:
        start, batch = clean.start, clean.batch
        low = _baselines(lm, start, batch, baseline, mean)
        value = target_of(lm, start.output[:, None], batch, target)[:, 0]
        scores = _scores(clean, low, rule, target)
        if not check:
            return scores, value, torch.full_like(scores[:, :, 0], torch.nan)
        end = _ends(lm, start, low, batch, target)
        return scores, value, value[:, None] * low.shape[1] - end

    return run


def slopes(*, target: Target) -> Run:
    """Return the method `gradient_activation`, to be run `together` with others."""

    def run(clean: Pass) -> Scored:
        value, gradient = clean.gradient(target)
        scores = gradient * clean.start.values.float()
        return scores, value, torch.zeros_like(scores[:, :, 0])

    return run


def own(clean: Pass) -> Scored:
    """Return the neurons' own values: the method `own_values`, to be run `together`."""
    start, batch = clean.start, clean.batch
    count = torch.tensor(batch.owner).bincount()[list(batch.owner)].to(start.values.device)
    values = start.values.float() / count[:, None, None]
    nothing = torch.zeros_like(values[:, :, 0])
    return values, nothing[:, 0], nothing


def completeness_error(
    scores: Float[Tensor, "question layer neuron"], difference: Float[Tensor, "question layer"]
) -> Float[Tensor, " question"]:
    """Return by what share the layers' scores miss the change of the target; 0 where none is.

    The sum over layers of |sum of scores - difference|, relative to that of |difference|.
    """
    off, whole = (scores.sum(2) - difference).abs().sum(1), difference.abs().sum(1)
    return torch.where(whole == 0, 0, off / whole)


def _baselines(
    lm: LanguageModel, start: Trace, batch: Batch, baseline: Baseline, mean: Mean | None
) -> Float[Tensor, "point word layer neuron"]:
    """Return w', one path a word (a single one for `zero` and `mean`)."""
    if baseline == "occlusion":
        low = occlusion.values(lm, batch.points, batch.words)
    elif mean is not None:
        low = mean.to(start.values).expand_as(start.values)[:, None]
    else:
        low = torch.zeros_like(start.values)[:, None]
    return low if start.keep is None else low * start.keep.to(low.dtype)[:, None]


@torch.no_grad()
def _ends(
    lm: LanguageModel,
    start: Trace,
    low: Float[Tensor, "point word layer neuron"],
    batch: Batch,
    target: Target,
) -> Float[Tensor, "point layer"]:
    """Return F with a whole layer at its baseline, added up over the words."""
    total = torch.zeros(len(low), lm.n_layers, device=low.device)
    for part in torch.split(low, nodes_at_once(lm, batch), 1):
        output = climb(lm, start, list(part.unbind(2)))
        value = target_of(lm, output, batch, target)
        total += value.view(len(low), lm.n_layers, part.shape[1]).sum(2)
    return total


def _scores(
    clean: Pass, low: Float[Tensor, "point word layer neuron"], rule: Quadrature, target: Target
) -> Float[Tensor, "point layer neuron"]:
    """Sum weight * (w - w') * gradient over the nodes of every path."""
    lm, start, n_words = clean.lm, clean.start, low.shape[1]
    total = torch.zeros(start.values.shape, device=low.device)
    inner = [(node, weight) for node, weight in rule if node != OWN]
    for weight in (weight for node, weight in rule if node == OWN):
        _, gradient = clean.gradient(target)
        total += weight * gradient * (start.values[:, None] - low).float().sum(1)
    nodes = torch.tensor([node for node, _ in inner]).repeat(n_words)
    weights = torch.tensor([weight for _, weight in inner]).repeat(n_words)
    path = torch.arange(n_words).repeat_interleave(len(inner))
    size = nodes_at_once(lm, clean.batch)
    for part in torch.split(torch.arange(len(nodes)), size) if inner else ():
        total += _part(
            lm, start, low[:, path[part]], nodes[part], weights[part], clean.batch, target
        )
    return total


def _part(
    lm: LanguageModel,
    start: Trace,
    low: Float[Tensor, "point row layer neuron"],
    nodes: Float[Tensor, " row"],
    weights: Float[Tensor, " row"],
    batch: Batch,
    target: Target,
) -> Float[Tensor, "point layer neuron"]:
    step = start.values[:, None] - low
    at = low + nodes.to(low)[:, None, None] * step
    entries = [x.contiguous().requires_grad_() for x in at.unbind(2)]
    with torch.enable_grad():
        value = target_of(lm, climb(lm, start, entries), batch, target)
        gradients = torch.autograd.grad(value.sum(), entries)
    gradient = torch.stack(gradients, 2).float()
    return torch.einsum("r,prln,prln->pln", weights.to(gradient), step.float(), gradient)
