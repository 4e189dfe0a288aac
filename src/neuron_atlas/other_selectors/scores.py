"""Scores of neurons for a relation by selectors that ask the model: gradients and direct effects.

All are means over the right prompts that select neurons, at the answer position, of a neuron's
first-order share in the answer's log-probability or logit: the higher, the more its removal should
cost. One forward and one backward pass per prompt give them all.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.arms.push import Writing
from neuron_atlas.attributions.clean_pass import CleanPass, on_clean_passes
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.language_model import LanguageModel

GRADIENT_ACTIVATION = "gradient_activation"
ATTRIBUTION_PATCHING = "attribution_patching"
DIRECT_LOGIT_ATTRIBUTION = "direct_logit_attribution"
BY_MODEL = (GRADIENT_ACTIVATION, ATTRIBUTION_PATCHING, DIRECT_LOGIT_ATTRIBUTION)
Scores = dict[str, Float[Tensor, "layer neuron"]]


def of_relation(
    lm: LanguageModel,
    questions: Sequence[Question],
    off: Float[Tensor, "layer neuron"],
    writing: Writing,
) -> Scores:
    """Return each neuron's score by each selector of `BY_MODEL`, mean over questions.

    Args:
        lm: The model.
        questions: A relation's right prompts with their answers, at least one, with candidates.
        off: What neurons are set to when they are switched off.
        writing: What the model's hidden units write.

    Returns:
        `gradient_activation`: w times the gradient of the answer's log-probability, nats
        (Shrikumar et al. 2016, arXiv 1605.01713). `attribution_patching`: (w - w') times this
        gradient, with w' = `off`; less the change of log-probability that switching the neuron off
        makes, to the first order (Syed et al. 2023, arXiv 2310.10348). An answer of
        several tokens is the sum over them. `direct_logit_attribution`: see `direct_logits`.
    """

    def added(clean: CleanPass) -> Scores:
        values, away = clean.trace.values.float(), off.to(clean.trace.values.device).float()
        _, gradient = clean.gradient("log_probability")
        parts = {
            GRADIENT_ACTIVATION: gradient * values,
            ATTRIBUTION_PATCHING: gradient * (values - away),
            DIRECT_LOGIT_ATTRIBUTION: direct_logits(clean, writing),
        }
        return {name: part.sum(0).cpu() for name, part in parts.items()}

    total = {name: torch.zeros(off.shape) for name in BY_MODEL}
    for found in on_clean_passes(lm, questions, added):
        for name, part in found.items():
            total[name] += part / len(questions)
    return total


def direct_logits(clean: CleanPass, writing: Writing) -> Float[Tensor, "first layer neuron"]:
    """Return what each neuron adds to the answer's logit past all later layers.

    The logit is that of the answer's first token less the mean over the candidates' first tokens,
    before a soft cap. The norms that lie between are linearised at the clean pass: the one behind
    the MLP, where a family has it, and the final one. In post-norm blocks the neuron's own norm is,
    and those of later layers are left out. After Elhage et al.
    2021 (A Mathematical Framework for Transformer Circuits) and Dar et al. 2022 (arXiv 2209.02535).

    Args:
        clean: A batch's clean pass.
        writing: What the model's hidden units write.

    Returns:
        One row per question: its first point's value times the projection of what the neuron
        writes.
    """
    owner = clean.batch.owner
    first = torch.tensor([i for i, q in enumerate(owner) if i == 0 or owner[i - 1] != q])
    end = _at_the_end(clean, first)
    layers = []
    for i in range(len(writing.downs)):
        columns = writing.columns(i)
        before = _before_norms(clean, first, i, end).to(columns.device)
        own = clean.trace.values[first, i].float()
        layers.append(own * (before @ columns.T).to(clean.lm.device))
    return torch.stack(layers, 1)


def _at_the_end(clean: CleanPass, first: Int[Tensor, " first"]) -> Float[Tensor, "first d_model"]:
    """Return the gradient of the logit with respect to the last block's output."""
    lm, head = clean.lm, clean.lm.head.weight
    points = [clean.batch.points[i] for i in first.tolist()]
    wanted = [head[p.token].float() - head[torch.tensor(p.choices)].float().mean(0) for p in points]

    return _through(lm.head_input, clean.trace.output[first], torch.stack(wanted))


def _before_norms(
    clean: CleanPass,
    first: Int[Tensor, " first"],
    layer: int,
    end: Float[Tensor, "first d_model"],
) -> Float[Tensor, "first d_model"]:
    """Return the gradient with respect to a layer's down-projection's output."""
    row, block, trace = clean.lm.architecture, clean.lm.blocks[layer], clean.trace
    if row.sum_norm is not None:
        end = _through(block.get_submodule(row.sum_norm), trace.sums[layer][first], end)
    if row.down_norm is not None:
        end = _through(block.get_submodule(row.down_norm), trace.written[layer][first], end)
    return end


def _through(
    step: Callable[[Tensor], Tensor],
    at: Float[Tensor, "row d_model"],
    gradient: Float[Tensor, "row width"],
) -> Float[Tensor, "row d_model"]:
    """Return the gradient before a step, from that behind it, where rows may have another width."""
    start = at.detach().clone().requires_grad_()
    with torch.enable_grad():
        stepped = step(start)
        (before,) = torch.autograd.grad(stepped, start, gradient.to(stepped.device, at.dtype))
    return before.float()
