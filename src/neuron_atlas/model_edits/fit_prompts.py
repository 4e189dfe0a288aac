"""The prompts that edits are fitted to: what is read and asked, and where the subject is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.attributions.questions import Point
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import tokenise
from neuron_atlas.scoring.vocabulary import token_logits


@dataclass(frozen=True)
class FitPrompts:
    """The prompts that some facts' edits are fitted to.

    Attributes:
        points: Of each prompt the answer's first token: the new answer's, with the old one's as
            the alternative. In an encoder both are read at the first of the new answer's masks.
        fact: Of each prompt its fact, counted from 0.
        source: Of each prompt its language, counted among the fact's sources.
        subject: Of each prompt the subject's last token.
    """

    points: Sequence[Point]
    fact: Int[Tensor, " prompt"]
    source: Int[Tensor, " prompt"]
    subject: Int[Tensor, " prompt"]


def subject_token(lm: LanguageModel, row: Mapping[str, Any], *, n_answer: int) -> int:
    """Return the place of the subject's last token among the tokens that a point reads.

    Args:
        lm: The model.
        row: The prompt, with the characters of its subject.
        n_answer: Masks that stand for the answer in an encoder's prompt.
    """
    _, (left, right) = tokenise(lm, row["prompt"])
    gap = n_answer if lm.architecture.encoder else 0
    places = [*range(len(left)), *(len(left) + gap + i for i in range(len(right)))]
    start, end = row["subject_start"], row["subject_end"]
    spans = zip(places, [*left, *right], strict=True)
    inside: list[int] = [place for place, (a, b) in spans if a < end and b > start]
    return inside[-1]


def first_token_gaps(
    lm: LanguageModel, asked: Sequence[Point], hidden: Float[Tensor, "prompt token d_model"]
) -> Float[Tensor, " prompt"]:
    """Return log p(new) - log p(old) at the answer's first token, nats; it needs no normaliser.

    Args:
        lm: The model.
        asked: As `FitPrompts.points`.
        hidden: The body's output on their tokens.
    """
    row = torch.arange(len(hidden), device=hidden.device)
    position = torch.tensor([p.position for p in asked], device=hidden.device)
    read = lm.before_head(hidden[row, position])
    new, old = torch.tensor([p.choices for p in asked], device=hidden.device).T
    return token_logits(lm.head, read, new) - token_logits(lm.head, read, old)
