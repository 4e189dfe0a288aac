"""Sums over the whole vocabulary, in parts small enough for a core's cache.

No row's logits are ever held at once: each part is multiplied, exponentiated and summed in buffers
that the next part reuses.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import Head

N_TOKENS, N_ROWS = 2048, 512  # of a part
FAR = 1e30  # a larger sum of exponentials may overflow float32 once it is multiplied


def token_logits(
    head: Head, hidden: Float[Tensor, "edge d_model"], token: Int[Tensor, " edge"]
) -> Float[Tensor, " edge"]:
    """Return one token's logit for each vector: exact products, in float32."""
    return with_bias_and_softcap(head, (hidden.float() * head.weight[token].float()).sum(-1), token)


def with_bias_and_softcap(
    head: Head, products: Float[Tensor, "*edge"], token: Int[Tensor, "*edge"]
) -> Float[Tensor, "*edge"]:
    """Return logits from the products of hidden states and token embeddings, in float32."""
    logits = products if head.bias is None else products + head.bias[token].float()
    return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)


def log_normaliser(
    head: Head, hidden: Float[Tensor, "row d_model"], offset: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Return the log of the sum of exponentiated logits of each row, in float32.

    Args:
        head: The output embeddings.
        hidden: Their input, in the model's precision.
        offset: A guess of the row's largest logit, in the model's precision, subtracted inside the
            matrix product. In float32 any guess will do; in bfloat16, whose 8 bits round a logit
            of 20 to the next 1/8, a good guess keeps the largest terms exact.
    """
    parts = zip(torch.split(hidden, N_ROWS), torch.split(offset, N_ROWS), strict=True)
    return torch.cat([_log_sum(head, rows, guess) for rows, guess in parts])


def _log_sum(head: Head, hidden: Tensor, offset: Tensor) -> Float[Tensor, " row"]:
    total = _sum(head, hidden, offset)
    far = ~((total > 0) & (total < FAR))  # the guess was off by more than float32's range
    if far.any():
        offset = offset.clone()
        offset[far] = _largest(head, hidden[far])
        total[far] = _sum(head, hidden[far], offset[far])
    return total.log_().add_(offset.float())


def _sum(head: Head, hidden: Tensor, offset: Tensor) -> Float[Tensor, " row"]:
    total = torch.zeros(len(hidden), device=hidden.device)
    for _, logits in _parts(head, hidden, offset):
        total += logits.exp_().sum(1)
    return total


def _largest(head: Head, hidden: Tensor) -> Float[Tensor, " row"]:
    """Return each row's largest logit, in the model's precision."""
    nothing = hidden.new_zeros(len(hidden))
    found = [logits.amax(1) for _, logits in _parts(head, hidden, nothing)]
    return torch.stack(found).amax(0).to(hidden.dtype)


def most_probable(head: Head, hidden: Float[Tensor, "row d_model"]) -> Int[Tensor, " row"]:
    """Return the token with the largest logit of each row, the first of equals.

    Logits are as precise as the model, so in bfloat16 near-equal ones may be equal.
    """
    return torch.cat([_most_probable(head, rows) for rows in torch.split(hidden, N_ROWS)])


def _most_probable(head: Head, hidden: Tensor) -> Tensor:
    best = torch.full((len(hidden),), -torch.inf, device=hidden.device)
    token = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
    for part, logits in _parts(head, hidden, hidden.new_zeros(len(hidden))):
        value, place = logits.max(1)
        better = value > best
        best, token = (
            torch.where(better, value, best),
            torch.where(better, place + part.start, token),
        )
    return token


def log_probability(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    token: Int[Tensor, " row"],
    *,
    gradient: bool,
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d_model"]]:
    """Return log p(token) of each row, nats, and its gradient with respect to `hidden`, in float32.

    With p(a) = 1 / (1 + r), r the sum of exp(logit_v - logit_a) over all other tokens v, log p(a)
    is -log(1 + r), accurate to the last digit even where p is almost 1. Its gradient is (r W_a -
    sum_v exp(logit_v - logit_a) W_v) / (1 + r), one more matrix product; 0 without `gradient`.
    """
    parts = zip(torch.split(hidden, N_ROWS), torch.split(token, N_ROWS), strict=True)
    found = [_log_probability(head, rows, asked, gradient) for rows, asked in parts]
    return torch.cat([value for value, _ in found]), torch.cat([slope for _, slope in found])


def _log_probability(
    head: Head, hidden: Tensor, token: Tensor, gradient: bool
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d_model"]]:
    asked = token_logits(head, hidden, token)
    offset = asked.to(hidden.dtype, copy=True)
    others, pull = _others(head, hidden, token, offset, gradient)
    far = ~(others < FAR)
    if far.any():
        offset[far] = _largest(head, hidden[far])
        others[far], pull[far] = _others(head, hidden[far], token[far], offset[far], gradient)
    own = (asked - offset.float()).exp()
    value = torch.where(
        far, asked - offset.float() - (others + own).log(), -torch.log1p(others / own)
    )
    if not gradient:
        return value, pull
    push = (others * _steepness(head, asked))[:, None] * head.weight[token].float()
    return value, (push - pull) / (others + own)[:, None]


def _others(
    head: Head, hidden: Tensor, token: Tensor, offset: Tensor, gradient: bool
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d_model"]]:
    """Sum exp(logit - offset) over all tokens but one, and its product with the embeddings."""
    total = torch.zeros(len(hidden), device=hidden.device)
    pull = torch.zeros(hidden.shape, device=hidden.device)
    for part, logits in _parts(head, hidden, offset):
        steep = None
        if gradient and head.softcap is not None:
            steep = _steepness(head, logits + offset.float()[:, None])
        odds = logits.exp_()
        _drop(odds, token - part.start)
        total += odds.sum(1)
        if gradient:
            odds = odds if steep is None else odds.mul_(steep)
            _add_product(pull, odds.to(hidden.dtype), head.weight[part])
    return total, pull


def _drop(odds: Float[Tensor, "row part"], place: Int[Tensor, " row"]) -> None:
    """Set one token of each row to 0 where it is in this part of the vocabulary."""
    inside = (place >= 0) & (place < odds.shape[1])
    column = place.clamp(0, odds.shape[1] - 1)[:, None]
    odds.scatter_(1, column, odds.gather(1, column).masked_fill(inside[:, None], 0))


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def _steepness(head: Head, logits: Tensor) -> Tensor:
    """Return the derivative of the logits with respect to what they are before the softcap."""
    if head.softcap is None:
        return torch.ones_like(logits)
    return 1 - (logits / head.softcap).square()


def _parts(
    head: Head, hidden: Float[Tensor, "row d_model"], offset: Float[Tensor, " row"]
) -> Iterator[tuple[slice, Float[Tensor, "row part"]]]:
    """Yield parts of the vocabulary and their logits less the offset; each overwrites the last."""
    size = min(N_TOKENS, len(head.weight))
    products = torch.empty(len(hidden) * size, dtype=hidden.dtype, device=hidden.device)
    exact = hidden.dtype == torch.float32
    results = products if exact else products.float()
    for start in range(0, len(head.weight), size):
        part = slice(start, min(start + size, len(head.weight)))
        shape = len(hidden), part.stop - start
        product, result = (x[: shape[0] * shape[1]].view(shape) for x in (products, results))
        if head.softcap is None and (head.bias is None or exact):
            low = -offset[:, None] if head.bias is None else head.bias[part] - offset[:, None]
            torch.addmm(low, hidden, head.weight[part].T, out=product)
            if not exact:
                result.copy_(product)
        else:
            _subtract(head, hidden, offset, part, result)
        yield part, result


def _subtract(head: Head, hidden: Tensor, offset: Tensor, part: slice, out: Tensor) -> None:
    """Fill `out` by products in float32: a softcap or a bias comes between them and the offset."""
    torch.mm(hidden.float(), head.weight[part].float().T, out=out)
    if head.bias is not None:
        out += head.bias[part].float()
    if head.softcap is not None:
        out.div_(head.softcap).tanh_().mul_(head.softcap)
    out -= offset.float()[:, None]
