"""Log-normalisers of rows that are near another one, without a sum over the whole vocabulary.

An intervention moves a row's hidden state a little. The tokens that were likely before are summed
exactly; the many unlikely ones, the tail, are carried along by their mean and their spread. The
error is audited on some rows of each group, and a group that errs too much is summed in full.
"""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import Head
from neuron_atlas.scoring.vocabulary import log_normaliser

LIKELY, SAMPLED = 64, 256  # one in so many tokens is summed exactly, or stands for the tail
JUDGED = 1 << 14  # tokens by which the limit of the likely ones is judged
WORTH = 12  # fewer rows than this cost less in full than their clean row's distribution
AT_ONCE = 32  # clean rows whose distributions are held together; a matter of memory
PART = 1 << 14  # tokens whose embeddings are multiplied together; a matter of memory


class Normalisers(NamedTuple):
    """The log-normalisers of some rows.

    Attributes:
        values: Of each row, in nats.
        error: Of each audited row by how much its approximation was off, in nats; else NaN.
        full: Whether a row was summed in full because an audited one of its group erred too much.
    """

    values: Float[Tensor, " row"]
    error: Float[Tensor, " row"]
    full: Bool[Tensor, " row"]


class CleanRow(NamedTuple):
    """What is kept of a row's distribution over the vocabulary.

    Attributes:
        hidden: The row.
        log_normaliser: Its own, over the whole vocabulary.
        likely: Embeddings of its likeliest tokens.
        bias: Their biases; 0 where the head has none.
        log_mass: Log of the probability of all other tokens: the tail.
        mean: The tail's mean embedding, each token weighted by its probability.
        sample: Embeddings of tokens that stand for the tail, drawn by their probability.
    """

    hidden: Float[Tensor, " d_model"]
    log_normaliser: Float[Tensor, ""]
    likely: Float[Tensor, "likely d_model"]
    bias: Float[Tensor, " likely"]
    log_mass: Float[Tensor, ""]
    mean: Float[Tensor, " d_model"]
    sample: Float[Tensor, "sampled d_model"]


def nearby(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    offset: Float[Tensor, " row"],
    clean: Int[Tensor, " row"],
    *,
    tolerance: float,
) -> Normalisers:
    """Return the log-normalisers of rows, of those near a clean row by its distribution.

    Args:
        head: The output embeddings. With a softcap all rows are summed in full.
        hidden: Their input, in the model's precision.
        offset: As in `vocabulary.log_normaliser`.
        clean: Of each row, which row is its clean one: itself, or the row before the intervention.
        tolerance: Largest error, nats, that an audited row may have; a group of rows, those of one
            clean row, in which one has a larger one is summed in full. 0 sums all rows in full.
    """
    n = len(hidden)
    sizes = torch.bincount(clean, minlength=n)
    if head.softcap is not None or tolerance <= 0:
        sizes.zero_()
    summed = sizes[clean] <= WORTH
    values, error = (torch.full((n,), torch.nan, device=hidden.device) for _ in range(2))
    audited, order = torch.zeros_like(summed), clean.argsort(stable=True)
    ends = [0, *torch.bincount(clean, minlength=n).cumsum(0).tolist()]  # waits once, for all groups
    for some in torch.split((sizes > WORTH).nonzero()[:, 0], AT_ONCE):
        for own, row in zip(some.tolist(), clean_rows(head, hidden[some]), strict=True):
            members = order[ends[own] : ends[own + 1]]
            values[members] = shifted(row, hidden[members])
            values[own] = row.log_normaliser
            audited[members[_to_audit((hidden[members].float() - row.hidden).norm(dim=1))]] = True
    exact = summed | audited
    found = log_normaliser(head, hidden[exact], offset[exact])
    error[audited] = (values[audited] - found[audited[exact]]).abs()
    values[exact] = found
    off = audited & ~(error <= tolerance) | ~torch.isfinite(values)
    full = torch.isin(clean, clean[off]) & ~exact
    values[full] = log_normaliser(head, hidden[full], offset[full])
    return Normalisers(values, error, full)


def clean_rows(head: Head, hidden: Float[Tensor, "row d_model"]) -> list[CleanRow]:
    """Describe the distributions of some rows over the vocabulary; each is summed in full."""
    logits = _logits(head, hidden.float())
    total = logits.logsumexp(1)
    likely = _likely(logits)
    odds = logits.sub_(total[:, None]).exp_()
    for row, tokens in zip(odds, likely, strict=True):
        row[tokens] = 0
    mass = odds.sum(1)
    mean = _mean_embedding(head, odds) / mass[:, None]
    n_sampled = max(1, odds.shape[1] // SAMPLED)
    return [
        CleanRow(
            hidden=hidden[i].float(),
            log_normaliser=total[i],
            likely=head.weight[tokens].float(),
            bias=_bias(head, tokens),
            log_mass=mass[i].log(),
            mean=mean[i],
            sample=head.weight[_drawn(odds[i], n_sampled)].float(),
        )
        for i, tokens in enumerate(likely)
    ]


def _likely(logits: Float[Tensor, "row vocab"]) -> Sequence[Int[Tensor, " _"]]:
    """Return each row's likely tokens, waiting for the device once for all rows."""
    if not len(logits):
        return []
    above = logits >= torch.stack([_limit(row) for row in logits])[:, None]
    row, token = above.nonzero(as_tuple=True)
    return torch.split(token, torch.bincount(row, minlength=len(logits)).tolist())


def _limit(logits: Float[Tensor, " vocab"]) -> Float[Tensor, ""]:
    """Return the logit above which about one token in `LIKELY` is, judged by a part of them."""
    some = logits[:: max(1, len(logits) // JUDGED)]
    return some.kthvalue(len(some) - max(1, len(some) // LIKELY) + 1).values


def _logits(head: Head, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row vocab"]:
    parts = [hidden @ weight.float().T for weight in torch.split(head.weight, PART)]
    logits = torch.cat(parts, 1)
    return logits if head.bias is None else logits.add_(head.bias.float())


def _mean_embedding(head: Head, odds: Float[Tensor, "row vocab"]) -> Float[Tensor, "row d_model"]:
    total = torch.zeros(len(odds), head.weight.shape[1], device=odds.device)
    parts = zip(torch.split(odds, PART, 1), torch.split(head.weight, PART), strict=True)
    for some, weight in parts:
        total.addmm_(some, weight.float())
    return total


def shifted(row: CleanRow, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, " row"]:
    """Return the log-normalisers of rows near a clean one, nats.

    With d the move of the hidden state and the tail's embeddings w, log E exp(w d) is the mean's
    part, exact, and the log of the mean of exp((w - mean) d) over the sample, with the sample's own
    mean in place of the tail's.
    """
    move = hidden.float() - row.hidden
    spread = (move @ (row.sample - row.sample.mean(0)).T).logsumexp(1) - log(len(row.sample))
    tail = row.log_normaliser + row.log_mass + move @ row.mean + spread
    likely = (hidden.float() @ row.likely.T).add_(row.bias).logsumexp(1)
    return torch.logaddexp(likely, tail)


def _to_audit(move: Float[Tensor, " row"]) -> Int[Tensor, " audited"]:
    """Return the row that moved farthest, where the error should be largest, and the median one."""
    order = move.argsort(stable=True)
    return order[[len(order) // 2, -1]]


def _bias(head: Head, token: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
    if head.bias is None:
        return torch.zeros(len(token), device=token.device)
    return head.bias[token].float()


def _drawn(odds: Float[Tensor, " token"], n: int) -> Int[Tensor, " sampled"]:
    """Return n tokens at even steps of the cumulative probability: nothing in it is random."""
    total = odds.double().cumsum(0)
    steps = (torch.arange(n, device=odds.device) + 0.5) / n * total[-1]
    return torch.searchsorted(total, steps).clamp_max(len(odds) - 1)
