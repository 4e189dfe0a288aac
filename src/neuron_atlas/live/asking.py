"""Ask a model one prompt: how it ranks given answers, and how it would go on by itself."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from neuron_atlas.activations import extraction
from neuron_atlas.facts import spacing, unspaced
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text, encode
from neuron_atlas.model_edits.sequences import Sequences, run_body
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.scoring.beginnings import without_continuations
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.log_probability import Intervene, log_probabilities
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import Query
from neuron_atlas.scoring.vocabulary import with_bias_and_softcap


@dataclass(frozen=True)
class Question:
    """One prompt with the answers that are looked at.

    Attributes:
        prompt: Ends where the answer begins, without a space.
        labels: The answers as people read them: given ones, or tokens with their spaces.
        answers: Their tokens.
        given: Whether the answers were given; else they are the likeliest next tokens.
    """

    prompt: str
    labels: tuple[str, ...]
    answers: tuple[Text, ...]
    given: bool

    def query(self, lm: LanguageModel) -> Query:
        """Return the question as the engine takes it."""
        return Query(encode(lm, self.prompt), self.answers)

    def apart(
        self, lm: LanguageModel, values: Float[np.ndarray, "*arm answer"]
    ) -> Float[np.ndarray, "*arm answer"]:
        """Return log-probabilities of each answer and none that continues it, in nats.

        See `scoring.beginnings`; an encoder's answers stay as they are.
        """
        if lm.architecture.encoder:
            return values
        return without_continuations(values, self.answers)


@dataclass(frozen=True)
class Ranked:
    """The answers of a question in the order of their probability.

    Attributes:
        places: Of the answers, the likeliest first; equal ones in the order of the question.
        log_probability: Of each answer of the question, nats.
    """

    places: list[int]
    log_probability: Float64[np.ndarray, " answer"]

    @property
    def share(self) -> Float64[np.ndarray, " answer"]:
        """Each answer's share of the probability that all of them have together."""
        above = np.exp(self.log_probability - self.log_probability.max())
        return np.asarray(above / above.sum())


def question(lm: LanguageModel, prompt: str, candidates: Sequence[str]) -> Question:
    """Return a prompt with given answers.

    Spaces at the prompt's end go to the answers: between the two stands one space, and none behind
    an opening mark or between letters of a script without spaces.

    Args:
        lm: The model.
        prompt: In an encoder's `{object}` may mark the place of the answer.
        candidates: As they are written, without a space in front.

    Raises:
        ValueError: the prompt or a candidate is empty, or a candidate is given twice.
    """
    text = checked(prompt)
    labels = tuple(c.strip() for c in candidates)
    if not all(labels):
        raise ValueError(f"expected candidates such as Paris,Rome, got an empty one in {labels}")
    if repeated := [c for i, c in enumerate(labels) if c in labels[:i]]:
        raise ValueError(f"candidate {repeated[0]!r} is given twice")
    gap = _gap(text.partition(OBJECT)[0], labels)
    tokens = CandidateTokens(lm).answers(text, gap, labels)
    return Question(text, labels, tuple(tokens), given=True)


def checked(prompt: str) -> str:
    """Return a prompt without spaces at its end.

    Raises:
        ValueError: nothing is left.
    """
    text = prompt.rstrip()
    if not text:
        raise ValueError(f"expected a prompt such as 'The capital of France is', got {prompt!r}")
    return text


def _gap(before: str, labels: tuple[str, ...]) -> str:
    """Return what stands between the text before the answer and the answer."""
    if before != before.rstrip() or not before:
        return ""
    together = unspaced.mostly_unspaced(labels) and unspaced.takes_no_space(before[-1:])
    return "" if together else spacing.join(before, " ")


def ask(lm: LanguageModel, asked: Question) -> Ranked:
    """Return how the model ranks the answers."""
    (values,) = log_probabilities(lm, [asked.query(lm)])
    return ranked(asked.apart(lm, values)[0])


def ranked(values: Float[np.ndarray, " answer"]) -> Ranked:
    """Return answers by their log-probabilities."""
    return Ranked(np.argsort(-values, kind="stable").tolist(), np.asarray(values, np.float64))


def likeliest(lm: LanguageModel, prompt: str, n: int, *, off: Intervene | None = None) -> Question:
    """Return a prompt with the tokens that are likeliest next.

    Args:
        lm: The model.
        prompt: The prompt.
        n: How many tokens.
        off: A change of neurons, of which arm 0 is applied at the answer position; with it, the
            tokens that are likeliest under it come after those that are likeliest without, each
            token once.
    """
    text = checked(prompt)
    found = _largest(next_log_probabilities(lm, text), n)
    if off is not None:
        found = list(dict.fromkeys(found + _largest(next_log_probabilities(lm, text, off=off), n)))
    labels = tuple(token_text(lm, text, token) for token in found)
    return Question(text, labels, tuple((token,) for token in found), given=False)


def _largest(values: Float[Tensor, " vocab"], n: int) -> list[int]:
    largest: list[int] = values.topk(min(n, len(values))).indices.tolist()
    return largest


@torch.no_grad()
def next_log_probabilities(
    lm: LanguageModel, prompt: str, *, off: Intervene | None = None
) -> Float[Tensor, " vocab"]:
    """Return the log-probability of every token at the answer position, nats, in float32.

    Args:
        lm: The model.
        prompt: The prompt.
        off: A change of neurons, of which arm 0 is applied at the answer position.
    """
    read = extraction.reading(lm, prompt, (0, 0), "answer")
    batch, (place,) = Sequences.of([read.ids], lm.device), read.where
    arm = torch.full_like(batch.ids, UNEDITED)
    arm[0, place] = 0
    with off(arm) if off else nullcontext():
        hidden = lm.before_head(run_body(lm, batch)[0, place][None])
    head = lm.head
    products = (hidden.float() @ head.weight.float().T)[0]
    every = torch.arange(len(products), device=products.device)
    return with_bias_and_softcap(head, products, every).log_softmax(0).cpu()


def token_text(lm: LanguageModel, prompt: str, token: int) -> str:
    """Return a token as it continues a prompt, its space kept."""
    (*_, last), _ = encode(lm, prompt)
    before = lm.tokenizer.decode([last])
    both: str = lm.tokenizer.decode([last, token])
    return both.removeprefix(before) or str(lm.tokenizer.id_to_token(token))
