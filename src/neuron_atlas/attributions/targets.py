"""What is attributed: one differentiable number per row, from the head's input alone."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.attributions.questions import Point
from neuron_atlas.attributions.settings import Target
from neuron_atlas.model.language_model import Head, LanguageModel
from neuron_atlas.scoring.vocabulary import log_probability, with_bias_and_softcap


def target_values(
    lm: LanguageModel,
    output: Float[Tensor, "point row d_model"],
    batch: Sequence[Point],
    target: Target,
) -> Float[Tensor, "point row"]:
    """Return the target of each row, in float32.

    `log_probability` (nats) and `probability` are those of the point's token over the vocabulary;
    `candidates` is the log-probability, nats, of the token among the tokens that the candidates
    allow here: decoding confined to the candidates' prefix tree, which needs no other logits.
    Summed over an answer's points, the two log-probabilities are those of the whole answer.
    """
    hidden = lm.head_input(output)
    if target == "candidates":
        return _among_choices(lm.head, hidden, batch)
    token = torch.tensor([p.token for p in batch], device=hidden.device)
    rows = token[:, None].expand(hidden.shape[:2]).reshape(-1)
    flat: Tensor = _LogProbability.apply(hidden.flatten(0, 1), rows, lm.head)  # type: ignore[no-untyped-call]
    value = flat.view(hidden.shape[:2])
    return value.exp() if target == "probability" else value


class _LogProbability(torch.autograd.Function):
    """log softmax(head(hidden))[token], whose gradient in closed form is computed on the way."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, token: Tensor, head: Head) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        value, gradient = log_probability(head, hidden, token, gradient=wanted)
        ctx.dtype = hidden.dtype
        if wanted:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return (grads[0][:, None] * gradient).to(ctx.dtype), None, None


def _among_choices(
    head: Head, hidden: Float[Tensor, "point row d_model"], batch: Sequence[Point]
) -> Float[Tensor, "point row"]:
    choices, there, place = _choices(batch)
    choices, there, place = (x.to(hidden.device) for x in (choices, there, place))
    products = torch.einsum("prd,pcd->prc", hidden.float(), head.weight[choices].float())
    logits = with_bias_and_softcap(head, products, choices[:, None].expand(products.shape))
    logits = logits.masked_fill(~there[:, None], -torch.inf)
    rows = place[:, None, None].expand(*logits.shape[:2], 1)
    return logits.log_softmax(2).gather(2, rows)[..., 0]


def _choices(
    batch: Sequence[Point],
) -> tuple[Int[Tensor, "point choice"], Bool[Tensor, "point choice"], Int[Tensor, " point"]]:
    """Return the padded choices, which of them are real, and where the asked token is."""
    width = max(len(p.choices) for p in batch)
    ids = torch.tensor([[*p.choices, *[0] * (width - len(p.choices))] for p in batch])
    count = torch.tensor([len(p.choices) for p in batch])
    place = torch.tensor([p.choices.index(p.token) for p in batch])
    return ids, torch.arange(width) < count[:, None], place
