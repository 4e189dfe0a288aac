"""What is attributed: a differentiable number for each row, from the head's input alone."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.model import Head, LanguageModel
from neuron_atlas.questions import Point

Target = Literal["probability", "log_probability", "candidates"]
ROWS = 256  # rows whose logits over the whole vocabulary are held at a time


def score(
    lm: LanguageModel,
    output: Float[Tensor, "point row d_model"],
    batch: Sequence[Point],
    target: Target,
) -> Float[Tensor, "point row"]:
    """Return the target of each row, in float32.

    `log_probability` (nats) and `probability` are those of the point's token over the vocabulary;
    `candidates` is the log-probability, nats, of the token among the tokens that the candidates
    allow here: decoding confined to the candidates' prefix tree, which needs no other logits. For a
    whole answer, add up its points: for the two log-probabilities that is the answer's own.
    """
    hidden = _head_input(lm, output)
    if target == "candidates":
        return _among_choices(lm.head, hidden, batch)
    token = torch.tensor([p.token for p in batch], device=hidden.device)
    rows = token[:, None].expand(hidden.shape[:2]).reshape(-1)
    value = log_probability(lm.head, hidden.flatten(0, 1), rows).view(hidden.shape[:2])
    return value.exp() if target == "probability" else value


def _head_input(
    lm: LanguageModel, output: Float[Tensor, "point row d_model"]
) -> Float[Tensor, "point row d_model"]:
    """Return what the output embeddings are multiplied with, from the last block's output."""
    normed = output if lm.final_norm is None else lm.final_norm(output)
    return lm.before_head(normed.flatten(0, 1)).view(output.shape)


def log_probability(
    head: Head, hidden: Float[Tensor, "row d_model"], token: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Return log p(token) of each row over the vocabulary, with its gradient in closed form.

    The gradient of log p(a) with respect to the head's input is W_a - sum_v p(v) W_v: one matrix
    product more than the value, and no graph over the vocabulary.
    """
    result: Tensor = _LogProbability.apply(hidden, token, head)  # type: ignore[no-untyped-call]
    return result


class _LogProbability(torch.autograd.Function):
    """log softmax(head(hidden))[token], whose gradient is computed on the way."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, token: Tensor, head: Head) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        parts = [
            _rows(head, h, t, wanted=wanted)
            for h, t in zip(torch.split(hidden, ROWS), torch.split(token, ROWS), strict=True)
        ]
        if wanted:
            ctx.save_for_backward(torch.cat([gradient for _, gradient in parts]))
        return torch.cat([value for value, _ in parts])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return (grads[0][:, None] * gradient).to(gradient.dtype), None, None


def _rows(
    head: Head, hidden: Tensor, token: Tensor, *, wanted: bool
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d_model"]]:
    """Return log p of the tokens and, if wanted, its gradient with respect to `hidden`."""
    weight = head.weight.to(hidden.dtype)
    raw = (hidden @ weight.T).float()
    if head.bias is not None:
        raw += head.bias.float()
    logits = raw if head.softcap is None else head.softcap * torch.tanh(raw / head.softcap)
    asked = logits.gather(1, token[:, None])[:, 0]
    value = asked - logits.logsumexp(1)
    if not wanted:
        return value, hidden
    slope = logits.sub_((asked - value)[:, None]).exp_().neg_()
    slope[torch.arange(len(token), device=token.device), token] += 1
    if head.softcap is not None:
        slope *= 1 - torch.tanh(raw / head.softcap).square()
    return value, slope.to(hidden.dtype) @ weight


def _among_choices(
    head: Head, hidden: Float[Tensor, "point row d_model"], batch: Sequence[Point]
) -> Float[Tensor, "point row"]:
    choices, there, place = _choices(batch)
    choices, there, place = (x.to(hidden.device) for x in (choices, there, place))
    logits = torch.einsum("prd,pcd->prc", hidden.float(), head.weight[choices].float())
    if head.bias is not None:
        logits = logits + head.bias[choices].float()[:, None]
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
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
