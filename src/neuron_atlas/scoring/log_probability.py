"""Exact log-probabilities of whole answers, computed only at the positions that are read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.model.language_model import Head, LanguageModel
from neuron_atlas.scoring.normaliser import Normalisers, nearby
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
from neuron_atlas.scoring.vocabulary import token_logits

HEAD_ROWS = 4096  # rows that go through the head together, at least; a matter of memory and speed
Intervene = Callable[[Int[Tensor, "batch position"]], AbstractContextManager[None]]


class Answers(NamedTuple):
    """What was asked of one query.

    Attributes:
        values: Log-probability of each answer under each arm, nats; at most 0. NaN where the head
            was left out.
        given_type: The same if the query's answers were all that could be said: each token's among
            those with which the answers go on from the tokens before it.
        error: Of each arm with an audited row by how much a normaliser was off, nats; else NaN.
    """

    values: Float[np.ndarray, "arm answer"]
    given_type: Float[np.ndarray, "arm answer"]
    error: Float[np.ndarray, " arm"]


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
    """Return the log-probability of each query's answers under each of its arms, in nats.

    As `ask`, with every normaliser summed over the whole vocabulary.
    """
    found = ask(
        lm,
        queries,
        arms=arms if arms is not None else [(UNEDITED,)] * len(queries),
        intervene=intervene,
        everywhere=everywhere,
        n_tokens=n_tokens,
        sequence=sequence,
    )
    return [answers.values for answers in found]


@torch.no_grad()
def ask(
    lm: LanguageModel,
    queries: Sequence[Query],
    *,
    arms: Sequence[Sequence[int]],
    intervene: Intervene | None = None,
    everywhere: bool = False,
    tolerance: float | None = 0.0,
    n_tokens: int = 4096,
    sequence: int = 192,
) -> list[Answers]:
    """Ask each query under each of its arms.

    An answer's log-probability is the sum over its tokens, teacher-forced, each given the prompt
    and the answer's own earlier tokens (in a decoder), or each at its own mask (in an encoder; the
    one mask per word piece, as in Kassner et al. 2021). Nothing is normalised by length.

    Args:
        lm: The model.
        queries: Prompts with their tokenised answers.
        arms: For each query the interventions to apply, by number; `UNEDITED` applies none.
        intervene: Opens the edits for a batch, given the arm of each position (`UNEDITED` where
            nothing is edited).
        everywhere: Edit every position of the prompt rather than the answer position alone.
        tolerance: Largest audited error, nats, of a normaliser that is not summed in full; see
            `normaliser.nearby`. It needs a decoder, edits at the answer position, and a query's
            first arm to be `UNEDITED`; all others are summed in full. None leaves the head out:
            `given_type` needs the logits of the answers' tokens alone.
        n_tokens: Tokens of a padded batch; a matter of memory only.
        sequence: Tokens of a sequence in which arms share their prompt; a matter of speed only.
    """
    pairs = [(i, block) for i, q in enumerate(queries) for block in answer_trees(lm, q)]
    owners, laid_out = [i for i, _ in pairs], [block for _, block in pairs]
    results = [_no_answers(len(a), len(q.answers)) for a, q in zip(arms, queries, strict=True)]
    shareable = not lm.architecture.encoder and not everywhere
    parts = split_arms(laid_out, [arms[i] for i in owners], shareable=shareable, target=sequence)
    packable = share_prefixes(parts, shareable=shareable, everywhere=everywhere, target=sequence)
    for some in _runs(lm, batches(list(packable), n_tokens=n_tokens), intervene):
        for them, edges in halving(some, partial(_edges, lm, tolerance=tolerance), in_two):
            for part, found in _by_segment([row for batch, _ in them for row in batch], edges):
                _enter(results[owners[part.owner]], part, found)
    return results


class Run(NamedTuple):
    """What a batch's pass through the body leaves for the head.

    Attributes:
        hidden: The head's input at the positions that are read.
        clean: Of each, which one has no intervention; see `normaliser.nearby`.
        row: Of each edge, from which of them it is read.
        token: Of each edge, the token asked for.
    """

    hidden: Float[Tensor, "row d_model"]
    clean: Int[Tensor, " row"]
    row: Int[Tensor, " edge"]
    token: Int[Tensor, " edge"]


BatchRun = tuple[list[Row], Run]


def _runs(
    lm: LanguageModel, found: Iterable[list[Row]], intervene: Intervene | None
) -> Iterator[list[BatchRun]]:
    """Yield batches with their runs, so many together that the head is worth reading."""

    def run(batch: list[Row]) -> Run:
        return _run(lm, pack(batch, encoder=lm.architecture.encoder), intervene)

    some: list[BatchRun] = []
    for batch in found:
        some += halving(batch, run, in_two)
        if sum(len(one.hidden) for _, one in some) >= HEAD_ROWS:
            yield some
            some = []
    if some:
        yield some


def _run(lm: LanguageModel, packed: Packed, intervene: Intervene | None) -> Run:
    device = lm.device
    arm = packed.arm.to(device)
    with intervene(arm) if intervene else nullcontext():
        hidden = lm.hidden(
            packed.ids.to(device), packed.positions.to(device), packed.visible.to(device)
        )
    read, row, last = read_rows(lm, hidden, packed.source)
    clean = torch.zeros_like(read)
    clean[row] = torch.searchsorted(read, packed.clean.to(device))
    return Run(last, clean, row, packed.token.to(device))


def read_rows(
    lm: LanguageModel,
    hidden: Float[Tensor, "batch position d_model"],
    source: Int[Tensor, " edge"],
) -> tuple[Int[Tensor, " row"], Int[Tensor, " edge"], Float[Tensor, "row width"]]:
    """Return the flat positions that are read, each edge's row among them, and the head's input."""
    read, row = torch.unique(source.to(lm.device), return_inverse=True)
    return read, row, lm.before_head(hidden.flatten(0, 1)[read])


class Edges(NamedTuple):
    """Of each edge its log-probability, that among its siblings, and its normaliser's error."""

    values: Float[np.ndarray, "*edge"]
    given_type: Float[np.ndarray, "*edge"]
    error: Float[np.ndarray, "*edge"]


def _no_answers(n_arms: int, n_answers: int) -> Answers:
    values, given_type = np.zeros((n_arms, n_answers)), np.zeros((n_arms, n_answers))
    return Answers(values, given_type, np.full(n_arms, np.nan))


def _enter(answers: Answers, part: Segment, edges: Edges) -> None:
    place, to_answers = np.array(part.places), part.block.incidence.T
    cells = np.ix_(place, part.block.answers)
    answers.values[cells] = edges.values @ to_answers
    answers.given_type[cells] = edges.given_type @ to_answers
    answers.error[place] = np.fmax(answers.error[place], np.fmax.reduce(edges.error, axis=1))


def _by_segment(batch: Sequence[Row], edges: Edges) -> Iterator[tuple[Segment, Edges]]:
    """Yield segments with their edges, [arm, edge]."""
    parts = [part for row in batch for part in row.segments]
    sizes = [len(part.arms) * len(part.block.edge_token) for part in parts]
    cut = np.cumsum(sizes)[:-1]
    for part, *found in zip(parts, *(np.split(x, cut) for x in edges), strict=True):
        yield part, Edges(*(x.reshape(len(part.arms), -1) for x in found))


def _edges(lm: LanguageModel, some: Sequence[BatchRun], tolerance: float | None) -> Edges:
    runs = [run for _, run in some]
    first = np.cumsum([0, *(len(run.hidden) for run in runs)]).tolist()
    hidden, token = (torch.cat(x) for x in zip(*((r.hidden, r.token) for r in runs), strict=True))
    row = torch.cat([run.row + start for run, start in zip(runs, first[:-1], strict=True)])
    logits = token_logits(lm.head, hidden[row], token)
    given_type = among_siblings(logits, row, n_rows=len(hidden))
    if tolerance is None:
        nothing = np.full(len(row), np.nan)
        return Edges(nothing, given_type.cpu().numpy(), nothing)
    clean = torch.cat([run.clean + start for run, start in zip(runs, first[:-1], strict=True)])
    asked, found = edge_log_probabilities(
        lm.head, hidden, row, logits, clean=clean, tolerance=tolerance
    )
    return Edges(*(x.cpu().numpy() for x in (asked, given_type, found.error[row])))


def edge_log_probabilities(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    row: Int[Tensor, " edge"],
    logits: Float[Tensor, " edge"],
    *,
    clean: Int[Tensor, " row"],
    tolerance: float,
) -> tuple[Float[Tensor, " edge"], Normalisers]:
    """Return log p(token | row) for each edge, in nats, in float64, and the rows' normalisers.

    The logits of the edges' tokens are exact products in float32 (`vocabulary.token_logits`). The
    normaliser over the vocabulary is relative to the row's largest such logit, so that bfloat16
    errs by about 0.001 nats.
    """
    offset = _highest(logits, row, n_rows=len(hidden)).to(hidden.dtype)
    found = nearby(head, hidden, offset, clean, tolerance=tolerance)
    return logits.double() - found.values[row].double(), found


def among_siblings(
    logits: Float[Tensor, " edge"], row: Int[Tensor, " edge"], *, n_rows: int
) -> Float[Tensor, " edge"]:
    """Return log p(token | row, one of the tokens asked of this row), in nats, in float64."""
    exact = logits.double()
    above = exact - _highest(exact, row, n_rows=n_rows)[row]
    total = torch.zeros(n_rows, dtype=above.dtype, device=above.device)
    return above - total.index_add_(0, row, above.exp()).log()[row]


def _highest(
    logits: Float[Tensor, " edge"], row: Int[Tensor, " edge"], *, n_rows: int
) -> Float[Tensor, " row"]:
    lowest = torch.full((n_rows,), -torch.inf, dtype=logits.dtype, device=logits.device)
    return lowest.scatter_reduce(0, row, logits, "amax")
