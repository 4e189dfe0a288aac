"""Ask a model questions, edited or not: two greedy tokens, and the first one's probabilities."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.sight import PositionedCache
from neuron_atlas.model.tokens import continuation, encode
from published.facts import Fact, agrees_with_any
from published.places import Edit, opened

BATCH = 50  # questions; a matter of memory and speed
Watch = Callable[["Batch"], None]


class Batch(NamedTuple):
    """Right-padded prompts."""

    ids: Int[Tensor, "batch position"]
    lengths: Int[Tensor, " batch"]

    @property
    def real(self) -> Bool[Tensor, "batch position"]:
        """Which positions are no padding."""
        return torch.arange(self.ids.shape[1]) < self.lengths[:, None]

    @property
    def last(self) -> Bool[Tensor, "batch position"]:
        """Each prompt's last position."""
        return torch.arange(self.ids.shape[1]) == self.lengths[:, None] - 1


@dataclass(frozen=True)
class Question:
    """A prompt and what may follow it, as tokens.

    Attributes:
        fact: What is asked.
        ids: The prompt.
        answer: First tokens of the right answers.
        typed: First tokens of all answers of the relation, each once.
        candidates: All answers of the relation.
    """

    fact: Fact
    ids: tuple[int, ...]
    answer: tuple[int, ...]
    typed: tuple[int, ...]
    candidates: tuple[str, ...]


def questions(lm: LanguageModel, facts: Sequence[Fact], *, second: bool = False) -> list[Question]:
    """Return the questions of one relation's facts, whose answers are each other's candidates."""
    candidates = tuple(sorted({a for fact in facts for a in fact.answers}))
    prompt = facts[0].prompt(second=second)
    first = {a: continuation(lm, prompt, f" {a}")[0] for a in candidates}
    typed = tuple(sorted(set(first.values())))
    return [
        Question(
            fact,
            encode(lm, fact.prompt(second=second)).before,
            tuple(sorted({first[a] for a in fact.answers})),
            typed,
            candidates,
        )
        for fact in facts
    ]


@dataclass(frozen=True)
class Replies:
    """What a model said to questions, in their order.

    Attributes:
        text: Two greedy tokens.
        right: Whether the text agrees with an answer of the fact.
        formed: Whether it agrees with any answer of the relation; else the *format* failed.
        answer: Log-probability of the answer's first token, nats.
        typed: Log-probability of the first tokens of all the relation's answers together, nats.
    """

    text: list[str]
    right: Bool[np.ndarray, " question"]
    formed: Bool[np.ndarray, " question"]
    answer: Float[np.ndarray, " question"]
    typed: Float[np.ndarray, " question"]


@torch.no_grad()
def ask(
    lm: LanguageModel,
    asked: Sequence[Question],
    edit: Edit | None = None,
    watch: Watch | None = None,
) -> Replies:
    """Ask questions under an edit.

    Args:
        lm: A decoder.
        asked: At least one question.
        edit: What is changed, at all positions of the prompt or at its last, and in what follows.
        watch: Called after each batch has run through the prompt.
    """
    texts: list[str] = [""] * len(asked)
    log = np.zeros((2, len(asked)))
    for where, batch in batches([q.ids for q in asked]):
        tokens, logits = _two_tokens(lm, batch, edit, watch)
        for row, i in enumerate(where):
            texts[i] = lm.tokenizer.decode(tokens[row], skip_special_tokens=False)
            sets = asked[i].answer, asked[i].typed
            log[:, i] = [float(logits[row, list(ids)].logsumexp(0)) for ids in sets]
    return Replies(
        texts,
        np.array([agrees_with_any(t, q.fact.answers) for t, q in zip(texts, asked, strict=True)]),
        np.array([agrees_with_any(t, q.candidates) for t, q in zip(texts, asked, strict=True)]),
        *log,
    )


def batches(prompts: Sequence[tuple[int, ...]]) -> Iterator[tuple[list[int], Batch]]:
    """Yield batches of prompts of like length, with their places among the prompts."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), BATCH):
        where = order[start : start + BATCH]
        lengths = torch.tensor([len(prompts[i]) for i in where])
        padded = [prompts[i] + (0,) * (int(lengths.max()) - len(prompts[i])) for i in where]
        yield where, Batch(torch.tensor(padded), lengths)


def _two_tokens(
    lm: LanguageModel, batch: Batch, edit: Edit | None, watch: Watch | None
) -> tuple[list[list[int]], Float[Tensor, "batch vocab"]]:
    """Return two greedy tokens and the log-probabilities of the first."""
    n, width = batch.ids.shape
    cache, real = PositionedCache(), batch.real
    positions = torch.arange(width).expand(n, -1)
    visible = torch.ones(width, width, dtype=torch.bool).tril() & real[:, None]
    with opened(edit, batch.last if edit is not None and edit.answer_only else real):
        hidden = lm.hidden(batch.ids, positions, visible, cache=cache)[batch.last]
    if watch is not None:
        watch(batch)
    logits = _logits(lm, hidden).log_softmax(-1)
    first = logits.argmax(-1)
    seen = torch.cat([real, torch.ones(n, 1, dtype=torch.bool)], dim=1)[:, None]
    with opened(edit, torch.ones(n, 1, dtype=torch.bool)):
        hidden = lm.hidden(first[:, None], batch.lengths[:, None], seen, cache=cache)[:, 0]
    second = _logits(lm, hidden).argmax(-1)
    return torch.stack([first, second], dim=1).tolist(), logits


def _logits(lm: LanguageModel, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row vocab"]:
    head = lm.head
    logits = hidden @ head.weight.T
    logits = logits if head.bias is None else logits + head.bias
    return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)
