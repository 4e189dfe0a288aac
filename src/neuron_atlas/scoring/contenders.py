"""Typed candidates of a prompt, scored only as far as they can be among the best.

log P(answer) never exceeds log P of the answer's beginning, so a candidate whose beginning has lost
already needs no more. The prompts run once; their keys and values are kept while the contenders'
next tokens are asked, round by round. A round of few tokens costs as much as one of many, so the
last contenders are scored to their ends together. A candidate that others continue stands for
itself and none of them (`beginnings`): it is known once they are scored too.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.sight import PositionedCache
from neuron_atlas.model.tokens import Text
from neuron_atlas.scoring.beginnings import beginnings, without_continuations
from neuron_atlas.scoring.log_probability import (
    edge_log_probabilities,
    log_probabilities,
    read_rows,
)
from neuron_atlas.scoring.packing import (
    UNEDITED,
    Row,
    batches,
    pack,
    prompt_places,
    share_prefixes,
    split_arms,
)
from neuron_atlas.scoring.trees import Ints, Query, answer_trees
from neuron_atlas.scoring.vocabulary import token_logits

Right = Bool[np.ndarray, "_"]
FEW = 64  # tokens that are run together rather than in rounds
SPARE = 4  # candidates that are run with them: the next to contend once some have lost


class Contenders(NamedTuple):
    """The candidates of one prompt.

    Attributes:
        values: Log-probability of each candidate and none that continues it, nats; an upper bound
            of it where not `complete`. From an encoder, of each candidate.
        complete: Whether all tokens of the candidate and of those that continue it were scored.
    """

    values: Float[np.ndarray, " candidate"]
    complete: Bool[np.ndarray, " candidate"]


@torch.no_grad()
def score_contenders(
    lm: LanguageModel,
    queries: Sequence[Query],
    right: Sequence[Right],
    *,
    exact: int | None,
    n_tokens: int = 4096,
    sequence: int = 192,
) -> list[Contenders]:
    """Score each prompt's candidates until the best of them are known.

    Complete are the most probable right candidate, the wrong ones that are at least as probable,
    and the `exact` most probable of all. An encoder has other masks for each length of answer, so a
    beginning bounds nothing: there all candidates are scored.

    Args:
        lm: The model.
        queries: Prompts with their tokenised candidates.
        right: Of each prompt, which candidates are right; at least one is.
        exact: How many of the best candidates are complete; None completes all.
        n_tokens: Tokens of a padded batch; a matter of memory only.
        sequence: Tokens of a sequence in which prompts share their beginning.
    """
    if lm.architecture.encoder or exact is None:
        every = log_probabilities(lm, queries, n_tokens=n_tokens, sequence=sequence)
        alone = [
            v[0] if lm.architecture.encoder else without_continuations(v[0], q.answers)
            for v, q in zip(every, queries, strict=True)
        ]
        return [Contenders(v, np.ones(len(v), dtype=np.bool_)) for v in alone]
    states = [_State(q.answers, ok, exact) for q, ok in zip(queries, right, strict=True)]
    begun = [Query(q.prompt, tuple((a[0],) for a in q.answers)) for q in queries]
    laid_out = [tree for q in begun for tree in answer_trees(lm, q)]
    arms = [(UNEDITED,)] * len(queries)
    parts = split_arms(laid_out, arms, shareable=True, target=sequence)
    rows = share_prefixes(parts, shareable=True, everywhere=False, target=sequence)
    for batch in batches(list(rows), n_tokens=n_tokens):
        for _, scored in halving(batch, lambda some: _score(lm, some, states), in_two):
            for place, state in scored.items():
                states[place] = state
    return [Contenders(s.alone, s.settled) for s in states]


def _score(
    lm: LanguageModel, batch: Sequence[Row], states: Sequence["_State"]
) -> dict[int, "_State"]:
    """Return what is known of a batch's prompts once their candidates are scored."""
    packed, cache, device = pack(batch, encoder=False), PositionedCache(), lm.device
    hidden = lm.hidden(
        *(x.to(device) for x in (packed.ids, packed.positions, packed.visible)), cache=cache
    )
    first = _log_probabilities(lm, hidden, packed.source, packed.token)
    parts = [(i, *found) for i, row in enumerate(batch) for found in prompt_places(row)]
    scored = {part.owner: states[part.owner].copy() for _, part, _ in parts}
    prompts = [
        _Prompt(scored[part.owner], row, int(packed.positions[row, places[-1]]), {(): places})
        for row, part, places in parts
    ]
    begun = [p.state.next_edges(()) for p in prompts]
    for prompt, values in zip(prompts, _split(first, begun), strict=True):
        prompt.state.refine((), values)
    while wanted := [(p, b) for p in prompts for b in p.state.wanted()]:
        _refine(lm, _to_the_end_if_few(wanted), cache, n_rows=len(batch))
    return scored


class _Prompt(NamedTuple):
    """A prompt in a batch: its candidates, its sequence, its last position, and what was run.

    `places` has the columns of each beginning that was run: of the prompt's tokens and of its own.
    """

    state: "_State"
    row: int
    position: int
    places: dict[Text, Ints]


def _to_the_end_if_few(wanted: Sequence[tuple[_Prompt, Text]]) -> Sequence[tuple[_Prompt, Text]]:
    """Return all that contenders and `SPARE` more have left, if it is few tokens; else `wanted`."""
    prompts = {id(p): p for p, _ in wanted}.values()
    left = [
        (p, longer)
        for p in prompts
        for beginning in p.state.wanted(spare=SPARE)
        for longer in p.state.longer(beginning)
    ]
    return left if len(left) <= FEW else wanted


class _State:
    """What is known of one prompt's candidates: how many of their tokens, and the sum of these."""

    def __init__(self, answers: Sequence[Text], right: Right, exact: int) -> None:
        self._answers, self._right, self._exact = answers, right, exact
        self._length = np.array([len(a) for a in answers])
        self._depth = np.zeros(len(answers), dtype=np.int64)
        self.values: Float[np.ndarray, " candidate"] = np.zeros(len(answers))
        self._pairs = np.array(beginnings(answers), dtype=np.int64).reshape(-1, 2)

    def copy(self) -> "_State":
        """Return a state that can be refined without this one."""
        same = copy.copy(self)
        same.values, same._depth = self.values.copy(), self._depth.copy()
        return same

    @property
    def complete(self) -> Bool[np.ndarray, " candidate"]:
        """Whether all of a candidate's tokens are scored."""
        return np.asarray(self._depth == self._length)

    @property
    def alone(self) -> Float[np.ndarray, " candidate"]:
        """Of each candidate and none that continues it, the log-probability or its upper bound."""
        return without_continuations(self.values, self._answers, self.complete)

    @property
    def settled(self) -> Bool[np.ndarray, " candidate"]:
        """Whether a candidate is complete, and with it those that continue it."""
        settled, (short, long) = self.complete.copy(), self._pairs.T
        settled[short[~self.complete[long]]] = False
        return settled

    def wanted(self, *, spare: int = 0) -> list[Text]:
        """Return the beginnings after which a contender's next token is to be asked.

        With `spare`, so many more candidates are contenders if there are any at all.
        """
        alone = self.alone
        contends = alone >= alone[self._right].max()
        order = np.argsort(-alone, kind="stable")
        contends[order[: self._exact]] = True
        short, long = self._pairs.T
        contends[long[contends[short]]] = True  # to know what is left of the shorter one
        if (contends & ~self.complete).any():
            contends[order[: int(contends.sum()) + spare]] = True
        places = np.flatnonzero(contends & ~self.complete).tolist()
        return list(dict.fromkeys(self._answers[i][: self._depth[i]] for i in places))

    def next_edges(self, beginning: Text) -> list[int]:
        """Return the tokens that candidates have next after a beginning, each once."""
        n = len(beginning)
        return list(dict.fromkeys(self._answers[i][n] for i in self._after(beginning)))

    def longer(self, beginning: Text) -> list[Text]:
        """Return a beginning and all that go on from it, each after those that it goes on from."""
        n, after = len(beginning), [self._answers[i] for i in self._after(beginning)]
        return list(dict.fromkeys(a[:end] for a in after for end in range(n, len(a))))

    def refine(self, beginning: Text, values: Float[np.ndarray, " token"]) -> None:
        """Take the log-probabilities of the tokens that follow a beginning."""
        known = dict(zip(self.next_edges(beginning), values.tolist(), strict=True))
        for i in self._after(beginning):
            self.values[i] += known[self._answers[i][len(beginning)]]
            self._depth[i] += 1

    def _after(self, beginning: Text) -> list[int]:
        n = len(beginning)
        return [i for i, a in enumerate(self._answers) if n < len(a) and a[:n] == beginning]


def _refine(
    lm: LanguageModel,
    wanted: Sequence[tuple[_Prompt, Text]],
    cache: PositionedCache,
    *,
    n_rows: int,
) -> None:
    """Run the last tokens of the wanted beginnings, ask what follows them, and enter it.

    What stands before these tokens was run in earlier rounds and is in the cache, or it is itself
    wanted and comes before them.
    """
    n_before, column = cache.get_seq_length(), _columns([p.row for p, _ in wanted])
    width = max(column) + 1
    ids, positions = (torch.zeros(n_rows, width, dtype=torch.long) for _ in range(2))
    seen = torch.zeros(n_rows, width, n_before + width, dtype=torch.bool)
    seen[:, torch.arange(width), n_before + torch.arange(width)] = True  # each sees itself
    source, token = [], []
    edges = [prompt.state.next_edges(beginning) for prompt, beginning in wanted]
    for (prompt, beginning), j, following in zip(wanted, column, edges, strict=True):
        before, i = prompt.places[beginning[:-1]], prompt.row
        prompt.places[beginning] = np.append(before, n_before + j)
        ids[i, j], positions[i, j] = beginning[-1], prompt.position + len(beginning)
        seen[i, j, torch.from_numpy(before)] = True
        source += [i * width + j] * len(following)
        token += following
    hidden = lm.hidden(*(x.to(lm.device) for x in (ids, positions, seen)), cache=cache)
    found = _log_probabilities(lm, hidden, torch.tensor(source), torch.tensor(token))
    for (prompt, beginning), values in zip(wanted, _split(found, edges), strict=True):
        prompt.state.refine(beginning, values)


def _columns(rows: Sequence[int]) -> list[int]:
    """Return how many times each row came before."""
    count: Counter[int] = Counter()
    found = []
    for row in rows:
        found.append(count[row])
        count[row] += 1
    return found


def _log_probabilities(
    lm: LanguageModel,
    hidden: Float[Tensor, "batch position d_model"],
    source: Int[Tensor, " edge"],
    token: Int[Tensor, " edge"],
) -> Float[np.ndarray, " edge"]:
    _, row, last = read_rows(lm, hidden, source)
    logits = token_logits(lm.head, last[row], token.to(lm.device))
    each = torch.arange(len(last), device=lm.device)
    found, _ = edge_log_probabilities(lm.head, last, row, logits, clean=each, tolerance=0.0)
    values: Float[np.ndarray, " edge"] = found.cpu().numpy()
    return values


def _split(values: NDArray[np.float64], edges: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """Yield the values of each list of edges in turn."""
    yield from np.split(values, np.cumsum([len(e) for e in edges])[:-1])
