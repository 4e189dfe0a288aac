"""Integrated gradients of an answer with respect to every hidden unit at the answer position."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.attributions.batches import Batch, nodes_at_once
from neuron_atlas.attributions.clean_pass import (
    Attributed,
    CleanPass,
    Factors,
    Method,
    PointScores,
    run_methods,
    target_of,
)
from neuron_atlas.attributions.quadrature import END, OWN, Quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.screening import Screen
from neuron_atlas.attributions.settings import Baseline, Target
from neuron_atlas.attributions.trace import Trace
from neuron_atlas.model.language_model import LanguageModel

Mean = Float[Tensor, "layer neuron"]


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
    2308.13198, equations 2-5). As in Chen et al.'s equation 5, `occlusion` adds one path per word.
    Unlike their equation 4 the factor is w - w', so that the scores of a layer sum to the change of
    F (completeness); unlike their code, special tokens and the answer position are not words, gold
    tokens are forced in their true case, and the neuron is the value that enters the
    down-projection.

    Args:
        lm: The model, frozen.
        questions: Prompts with their answers.
        baseline: w': 0, the given `mean`, or the values with each word of the query hidden.
        rule: Where the gradient is evaluated.
        target: F; see `targets.target_values`. An answer of several tokens is the sum over its
            points, each with the neurons of its own position.
        mean: For the baseline `mean`.
        keep: Factors on the neurons at the answer position, applied before anything else: 0 for a
            neuron that an earlier edit has switched off.
        check: Compute the differences too.

    Yields:
        Results in the engine's own order; `places` names the questions.

    Raises:
        ValueError: a score is not finite, or `mean` is missing.
    """
    run = path_method(lm, baseline=baseline, rule=rule, target=target, mean=mean, check=check)
    for found in run_methods(
        lm, questions, {"one": run}, by_words=baseline == "occlusion", keep=keep
    ):
        yield found["one"]


def gradient_activation(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    target: Target,
    keep: Factors | None = None,
) -> Iterator[Attributed]:
    """Yield value x gradient of every neuron: one point of the path, one row per prompt.

    Shrikumar et al. 2016 (arXiv 1605.01713). Arguments as in `integrated_gradients`; `difference`
    is 0, since the method promises nothing about sums.
    """
    for found in run_methods(
        lm, questions, {"one": gradient_activation_method(target=target)}, keep=keep
    ):
        yield found["one"]


def own_values(lm: LanguageModel, questions: Sequence[Question]) -> Iterator[Attributed]:
    """Yield each neuron's value at the answer position, the mean over the answer's points."""
    for found in run_methods(lm, questions, {"one": own_values_method}):
        yield found["one"]


def path_method(
    lm: LanguageModel,
    *,
    baseline: Baseline,
    rule: Quadrature,
    target: Target,
    mean: Mean | None = None,
    screen: Screen | None = None,
    check: bool = True,
) -> Method:
    """Return the method `integrated_gradients`, for `run_methods`.

    With `screen`, paths that hardly change the target to the first order are not integrated, or
    less finely. Without `check` the differences are NaN, which saves a fourth of the work or more.

    Raises:
        ValueError: `mean` is missing, or given for another baseline.
    """
    if (baseline == "mean") != (mean is not None):
        given = "no mean" if mean is None else "a mean"
        raise ValueError(
            f"the baseline 'mean' needs a mean, no other takes one; got {given} for {baseline!r}"
        )

    def run(clean: CleanPass) -> PointScores:
        trace, batch = clean.trace, clean.batch
        low = _baselines(clean, baseline, mean)
        value = target_of(lm, trace.output[:, None], batch, target)[:, 0]
        scores = _scores(clean, low, rule, target, screen)
        if not check:
            return scores, value, torch.full_like(scores[:, :, 0], torch.nan)
        end = _values_at_baseline(lm, trace, low, batch, target)
        return scores, value, value[:, None] * low.shape[1] - end

    return run


def gradient_activation_method(*, target: Target) -> Method:
    """Return the method `gradient_activation`, for `run_methods`."""

    def run(clean: CleanPass) -> PointScores:
        value, gradient = clean.gradient(target)
        scores = gradient * clean.trace.values.float()
        return scores, value, torch.zeros_like(scores[:, :, 0])

    return run


def own_values_method(clean: CleanPass) -> PointScores:
    """Return the neurons' own values: the method `own_values`, for `run_methods`."""
    trace, batch = clean.trace, clean.batch
    count = torch.tensor(batch.owner).bincount()[list(batch.owner)].to(trace.values.device)
    values = trace.values.float() / count[:, None, None]
    nothing = torch.zeros_like(values[:, :, 0])
    return values, nothing[:, 0], nothing


def completeness_error(
    scores: Float[Tensor, "question layer neuron"], difference: Float[Tensor, "question layer"]
) -> Float[Tensor, " question"]:
    """Return by what share the layers' scores miss the target's change; 0 where it does not change.

    The sum over layers of |sum of scores - difference|, relative to that of |difference|.
    """
    off, whole = (scores.sum(2) - difference).abs().sum(1), difference.abs().sum(1)
    return torch.where(whole == 0, 0, off / whole)


def _baselines(
    clean: CleanPass, baseline: Baseline, mean: Mean | None
) -> Float[Tensor, "point word layer neuron"]:
    """Return w', one path per word (a single one for `zero` and `mean`)."""
    trace = clean.trace
    if baseline == "occlusion":
        low = clean.occluded
    elif mean is not None:
        low = mean.to(trace.values).expand_as(trace.values)[:, None]
    else:
        low = torch.zeros_like(trace.values)[:, None]
    return low if trace.keep is None else low * trace.keep.to(low.dtype)[:, None]


@torch.no_grad()
def _values_at_baseline(
    lm: LanguageModel,
    trace: Trace,
    low: Float[Tensor, "point word layer neuron"],
    batch: Batch,
    target: Target,
) -> Float[Tensor, "point layer"]:
    """Return F with a whole layer at its baseline, summed over the words."""
    total = torch.zeros(len(low), lm.n_layers, device=low.device)
    for part in torch.split(low, nodes_at_once(lm, batch, n_layers=lm.n_layers), 1):
        output = run_rows(lm, trace, list(part.unbind(2)))
        value = target_of(lm, output, batch, target)
        total += value.view(len(low), lm.n_layers, part.shape[1]).sum(2)
    return total


def _scores(
    clean: CleanPass,
    low: Float[Tensor, "point word layer neuron"],
    rule: Quadrature,
    target: Target,
    screen: Screen | None,
) -> Float[Tensor, "point layer neuron"]:
    """Sum weight * (w - w') * gradient over the nodes of every path."""
    total = torch.zeros(clean.trace.values.shape, device=low.device)
    rules = [rule] if screen is None else [END, screen.middle, rule]
    rank = torch.zeros(low.shape[:3], dtype=torch.long)
    if any(node == OWN for one in rules for node, _ in one):
        _, gradient = clean.gradient(target)
        step = (clean.trace.values[:, None] - low).float()
        if screen is not None:
            rank = screen.ranks(torch.einsum("pln,pwln->pwl", gradient.abs(), step.abs())).cpu()
        own = torch.tensor([sum(w for node, w in one if node == OWN) for one in rules])[rank]
        total += gradient * torch.einsum("pwl,pwln->pln", own.to(step), step)
    rows = [_layer_rows(rules, rank[:, :, layer]) for layer in range(clean.lm.n_layers)]
    longest = max(r.node.shape[1] for r in rows)
    n_layers = sum(r.node.shape[1] > 0 for r in rows)
    size = nodes_at_once(clean.lm, clean.batch, n_layers=n_layers)
    for start in range(0, longest, size):
        total += _row_scores(clean, low, [r.part(start, size) for r in rows], target)
    return total


class _Rows(NamedTuple):
    """The rows of one layer: each a node of the path of one word, with its weight.

    Points with fewer rows than others are filled up with rows of weight 0.
    """

    word: Int[Tensor, "point row"]
    node: Float[Tensor, "point row"]
    weight: Float[Tensor, "point row"]

    def part(self, start: int, size: int) -> "_Rows":
        return _Rows(*(x[:, start : start + size] for x in self))


def _layer_rows(rules: Sequence[Quadrature], rank: Int[Tensor, "point word"]) -> _Rows:
    """Lay out the nodes of one layer's paths but the last, each path by its own rule."""
    inner = [[(node, weight) for node, weight in one if node != OWN] for one in rules]
    points = [
        [(word, *node) for word, r in enumerate(ranks) for node in inner[r]]
        for ranks in rank.tolist()
    ]
    width = max(map(len, points))
    filled = [[*rows, *[(0, OWN, 0.0)] * (width - len(rows))] for rows in points]
    laid = torch.tensor(filled, dtype=torch.float64).view(len(points), width, 3)
    return _Rows(laid[..., 0].long(), laid[..., 1].float(), laid[..., 2].float())


def _row_scores(
    clean: CleanPass,
    low: Float[Tensor, "point word layer neuron"],
    rows: Sequence[_Rows],
    target: Target,
) -> Float[Tensor, "point layer neuron"]:
    lm, trace = clean.lm, clean.trace
    total = torch.zeros(trace.values.shape, device=low.device)
    point = torch.arange(len(low), device=low.device)[:, None]
    entries: list[Tensor | None] = [None] * len(rows)
    steps: dict[int, Tensor] = {}
    for layer, own in enumerate(rows):
        if own.node.shape[1]:
            begin = low[point, own.word.to(low.device), layer]
            steps[layer] = trace.values[:, None, layer] - begin
            at = begin + own.node.to(low)[..., None] * steps[layer]
            entries[layer] = at.contiguous().requires_grad_()
    entered = [x for x in entries if x is not None]
    with torch.enable_grad():
        value = target_of(lm, run_rows(lm, trace, entries), clean.batch, target)
        gradients = torch.autograd.grad(value.sum(), entered)
    for (layer, step), gradient in zip(steps.items(), gradients, strict=True):
        weight = rows[layer].weight.to(low.device)
        total[:, layer] = torch.einsum("pr,prn,prn->pn", weight, step.float(), gradient.float())
    return total
