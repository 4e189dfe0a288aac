"""Exact log-probabilities of whole answers, computed only at the positions that are read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import Head, LanguageModel
from neuron_atlas.scoring.packing import (
    UNEDITED,
    Packed,
    Row,
    Segment,
    batches,
    pack,
    share_prefixes,
    split_arms,
)
from neuron_atlas.scoring.trees import Query, answer_trees
from neuron_atlas.scoring.vocabulary import log_normaliser, token_logits

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
    one mask per word piece, as in Kassner et al. 2021). Nothing is normalised by length.

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
    pairs = [(i, block) for i, q in enumerate(queries) for block in answer_trees(lm, q)]
    owners, laid_out = [i for i, _ in pairs], [block for _, block in pairs]
    results = [np.zeros((len(a), len(q.answers))) for a, q in zip(chosen, queries, strict=True)]
    shareable = not lm.architecture.encoder and not everywhere
    parts = split_arms(laid_out, [chosen[i] for i in owners], shareable=shareable, target=sequence)
    packable = share_prefixes(parts, shareable=shareable, everywhere=everywhere, target=sequence)
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

    The logits of the given tokens are exact products in float32. The normaliser over the vocabulary
    is relative to the row's largest such logit, so that bfloat16 errs by about 0.001 nats.
    """
    asked = token_logits(head, hidden[row], token)
    offset = torch.full((len(hidden),), -torch.inf, device=hidden.device)
    offset = offset.scatter_reduce(0, row, asked, "amax").to(hidden.dtype)
    normaliser = log_normaliser(head, hidden, offset)
    return asked.double() - normaliser[row].double()
