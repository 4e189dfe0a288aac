"""Log-probabilities of whole answers, exactly, at only the positions that are read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.blocks import Query, blocks
from neuron_atlas.model import Head, LanguageModel
from neuron_atlas.packing import (
    UNEDITED,
    Packed,
    Row,
    Segment,
    batches,
    pack,
    rows,
    segments,
)

VOCAB_CHUNK, ROW_CHUNK = 4096, 2048  # a product of this size stays in a core's cache
Intervene = Callable[[Int[Tensor, "batch position"]], AbstractContextManager[None]]


@torch.no_grad()
def log_probabilities(
    lm: LanguageModel,
    queries: Sequence[Query],
    *,
    arms: Sequence[Sequence[int]] | None = None,
    intervene: Intervene | None = None,
    everywhere: bool = False,
    n_tokens: int = 4096,
    sequence: int = 192,
) -> list[Float[np.ndarray, "arm answer"]]:
    """Return the log-probability of each query's answers under each of its arms.

    An answer's log-probability is the sum over its tokens, teacher-forced, each given the prompt
    and the answer's own earlier tokens (in a decoder), or each at its own mask (in an encoder; the
    one-mask-a-piece convention of Kassner et al. 2021). Nothing is normalised by length.

    Args:
        lm: The model.
        queries: Prompts with their tokenised answers.
        arms: For each query the interventions to apply, by number; by default none.
        intervene: Opens the edits for a batch, given the arm of each position (`UNEDITED` where
            nothing is edited).
        everywhere: Edit every position of the prompt rather than the answer position alone.
        n_tokens: Tokens of a padded batch; a matter of memory only.
        sequence: Tokens of a sequence in which arms share their prompt; a matter of speed only.

    Returns:
        For each query, nats, [arm, answer]; at most 0.
    """
    chosen = arms if arms is not None else [(UNEDITED,)] * len(queries)
    pairs = [(i, block) for i, q in enumerate(queries) for block in blocks(lm, q)]
    owners, laid_out = [i for i, _ in pairs], [block for _, block in pairs]
    results = [np.zeros((len(a), len(q.answers))) for a, q in zip(chosen, queries, strict=True)]
    shareable = not lm.architecture.encoder and not everywhere
    parts = segments(laid_out, [chosen[i] for i in owners], shareable=shareable, target=sequence)
    packable = rows(parts, shareable=shareable, everywhere=everywhere, target=sequence)
    for batch in batches(list(packable), n_tokens=n_tokens):
        edges = _edges(lm, pack(batch, encoder=lm.architecture.encoder), intervene)
        for part, values in _by_segment(batch, edges):
            place = np.arange(part.first, part.first + len(part.arms))
            cells = np.ix_(place, part.block.answers)
            results[owners[part.owner]][cells] = values @ part.block.incidence.T
    return results


def _by_segment(
    batch: Sequence[Row], edges: Float[np.ndarray, " edge"]
) -> Iterator[tuple[Segment, np.ndarray]]:
    parts = [part for row in batch for part in row.segments]
    sizes = [len(part.arms) * len(part.block.edge_token) for part in parts]
    for part, values in zip(parts, np.split(edges, np.cumsum(sizes)[:-1]), strict=True):
        yield part, values.reshape(len(part.arms), -1)


def _edges(
    lm: LanguageModel, packed: Packed, intervene: Intervene | None
) -> Float[np.ndarray, " edge"]:
    device = lm.device
    arm = packed.arm.to(device)
    with intervene(arm) if intervene else nullcontext():
        hidden = lm.hidden(
            packed.ids.to(device), packed.positions.to(device), packed.visible.to(device)
        )
    read, row = torch.unique(packed.source.to(device), return_inverse=True)
    last = lm.before_head(hidden.flatten(0, 1)[read])
    return edge_log_probabilities(lm.head, last, row, packed.token.to(device)).cpu().numpy()


def edge_log_probabilities(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    row: Int[Tensor, " edge"],
    token: Int[Tensor, " edge"],
) -> Float[Tensor, " edge"]:
    """Return log p(token | row) for each edge, in nats, in float64.

    The asked-for logits are exact products in float32. The normaliser over the vocabulary is a
    sum of exponentials relative to the row's largest asked-for logit, subtracted inside the matrix
    product: in bfloat16, whose 8 bits would round a logit of 20 to the next 1/8, the terms that
    matter are then small numbers and keep an error of about 0.001 nats.
    """
    asked = _logits(head, hidden[row].float() * head.weight[token].float(), token)
    offset = torch.full((len(hidden),), -torch.inf, device=hidden.device)
    offset = offset.scatter_reduce(0, row, asked, "amax").to(hidden.dtype)
    normaliser = log_normaliser(head, hidden, offset)
    return asked.double() - normaliser[row].double()


def _logits(
    head: Head, products: Float[Tensor, "edge d_model"], token: Int[Tensor, " edge"]
) -> Float[Tensor, " edge"]:
    logits = products.sum(-1)
    if head.bias is not None:
        logits = logits + head.bias[token].float()
    return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)


def log_normaliser(
    head: Head, hidden: Float[Tensor, "row d_model"], offset: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Return the log of the sum of exponentiated logits of each row, in float32.

    Args:
        head: The output embeddings.
        hidden: Their input, in the model's precision.
        offset: A guess of the row's largest logit; any guess is exact in float32, and a good one
            keeps bfloat16 exact where it matters.
    """
    result = torch.cat(
        [
            _sum_of_exponentials(head, rows, guess)
            for rows, guess in zip(
                torch.split(hidden, ROW_CHUNK), torch.split(offset, ROW_CHUNK), strict=True
            )
        ]
    )
    result = result.log_().add_(offset.float())
    far = ~torch.isfinite(result)
    if far.any():  # the guess was off by more than float32's exponent holds
        result[far] = _streamed(head, hidden[far], offset[far])
    return result


def _sum_of_exponentials(
    head: Head, hidden: Float[Tensor, "row d_model"], offset: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Sum over the vocabulary in chunks, in two buffers that every chunk reuses."""
    total = torch.zeros(len(hidden), device=hidden.device)
    size = min(VOCAB_CHUNK, len(head.weight))
    product = torch.empty(len(hidden), size, dtype=hidden.dtype, device=hidden.device)
    logits = torch.empty(len(hidden), size, device=hidden.device)
    for start in range(0, len(head.weight), size):
        part = slice(start, min(start + size, len(head.weight)))
        n = part.stop - start
        total += _chunk(head, hidden, offset, part, (product[:, :n], logits[:, :n])).exp_().sum(-1)
    return total


def _streamed(
    head: Head, hidden: Float[Tensor, "row d_model"], offset: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    parts = []
    for start in range(0, len(head.weight), VOCAB_CHUNK):
        weight = head.weight[start : start + VOCAB_CHUNK]
        logits = torch.empty(len(hidden), len(weight), device=hidden.device)
        part = slice(start, start + len(weight))
        chunk = _chunk(head, hidden, offset, part, (logits.to(hidden.dtype), logits))
        parts.append(torch.logsumexp(chunk, -1))
    return torch.logsumexp(torch.stack(parts), 0) + offset.float()


def _chunk(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    offset: Float[Tensor, " row"],
    part: slice,
    buffers: tuple[Tensor, Tensor],
) -> Float[Tensor, "row token"]:
    """Return the logits of a part of the vocabulary, less the offset."""
    product, logits = buffers
    weight = head.weight[part]
    if head.softcap is None and head.bias is None:
        if product.is_contiguous():
            torch.addmm(-offset[:, None], hidden, weight.T, out=product)
        else:
            product = torch.addmm(-offset[:, None], hidden, weight.T)
        return logits.copy_(product)
    logits = hidden.float() @ weight.float().T
    if head.bias is not None:
        logits = logits + head.bias[part].float()
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    return logits - offset.float()[:, None]
