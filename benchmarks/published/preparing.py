"""From facts to sets: what the model knows, the two halves, and each relation's neurons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.progress import each
from published import facts, sets
from published.asking import Question, ask, questions
from published.experiment import Asked, stream
from published.places import HIDDEN, RAW, Places
from published.responses import Responses, respond


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        asked: Facts of each relation that the model is asked for.
        held_out: Known facts that test, at most half of them (the paper: 50).
        identification: Known facts that select, at most.
        known: Known facts below which a relation is left out.
        share: Raw neurons chosen, as a fraction of all (the paper: 3,000 of 835,584).
        hidden: Hidden units chosen by our own protocol (`relation_neurons.k`).
        draws: Random sets of the paper's protocol (10) and of every other control.
        seed: Of all draws.
    """

    asked: int = 150
    held_out: int = 25
    identification: int = 125
    known: int = 30
    share: float = 0.0036
    hidden: int = 100
    draws: tuple[int, int] = (10, 3)
    seed: int = 0


@dataclass(frozen=True)
class Known:
    """What the model knows of one relation.

    Attributes:
        n_asked: Facts asked.
        n_known: Facts whose two greedy tokens agree with an answer.
        n_literal: Those among them that the paper's rule counts by the letter.
        held_out: The questions that test.
        second: The same in the second wording.
        identification: The questions that select.
    """

    n_asked: int
    n_known: int
    n_literal: int
    held_out: list[Question]
    second: list[Question]
    identification: list[Question]


def known(lm: LanguageModel, lre: Path, sizes: Sizes) -> dict[str, Known]:
    """Ask the facts of all 12 relations and split what is known, disjoint in subject."""
    drawn = facts.read(lre, most=sizes.asked, rng=stream(sizes.seed, "facts"))
    found = {}
    for relation in each(list(drawn), "what the model knows", unit="relation"):
        asked = questions(lm, drawn[relation])
        replies = ask(lm, asked)
        right = stream(sizes.seed, "halves", relation).permutation(np.flatnonzero(replies.right))
        second = questions(lm, drawn[relation], second=True)
        n = min(sizes.held_out, len(right) // 2)
        literal = [
            any(facts.is_prefix(text, a) for a in q.fact.answers)
            for text, q in zip(replies.text, asked, strict=True)
        ]
        found[relation] = Known(
            len(asked),
            len(right),
            sum(literal),
            [asked[i] for i in right[:n]],
            [second[i] for i in right[:n]],
            [asked[i] for i in right[n : n + sizes.identification]],
        )
    return found


def held_out(lm: LanguageModel, asked: Sequence[Question]) -> Asked:
    """Ask held-out questions of the unedited model."""
    return Asked(asked, respond(lm, asked).mlp_input, ask(lm, asked))


@dataclass(frozen=True)
class Chosen:
    """The sets of one relation.

    Attributes:
        raw: Raw neurons, as the paper chooses them.
        precision: Their average precision.
        hidden: Hidden units at the answer position, as we choose them.
        disjoint: Raw neurons chosen from facts that share no answer with `apart`; None if too few.
        apart: Places of the held-out questions whose answers `disjoint` has not seen.
        negatives: Prompts of other relations beside the relation's own.
    """

    raw: Int[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    hidden: Int[np.ndarray, " k_hidden"]
    disjoint: Int[np.ndarray, " k"] | None
    apart: list[int]
    negatives: int


FEWEST = 8  # facts on either side of a split of the answers


def choose(
    lm: LanguageModel, relations: Mapping[str, Known], responses: Responses, sizes: Sizes
) -> dict[str, Chosen]:
    """Choose each relation's sets from the responses at all identification prompts, in order."""
    owner = np.concatenate([[r] * len(one.identification) for r, one in relations.items()])
    answers = [q.fact.answers for one in relations.values() for q in one.identification]
    k = round(sizes.share * Places(lm, RAW).total)
    found = {}
    for relation in each(list(relations), "average precision", unit="relation"):
        rng = stream(sizes.seed, "choose", relation)
        positive = owner == relation
        negative = sets.negatives(positive, rng)
        unseen = _half_of_answers(relations[relation].held_out, rng)
        apart = [
            i for i, q in enumerate(relations[relation].held_out) if unseen & {*q.fact.answers}
        ]
        rest = positive & np.array([not unseen & {*own} for own in answers])
        enough = min(len(apart), int(rest.sum())) >= FEWEST
        raw, precision = sets.highest(responses.raw_mean, positive, negative, k)
        size = min(sizes.hidden, Places(lm, HIDDEN).total)
        found[relation] = Chosen(
            raw,
            precision,
            sets.highest(responses.hidden_last, positive, negative, size)[0],
            sets.highest(responses.raw_mean, rest, negative, k)[0] if enough else None,
            apart,
            len(negative),
        )
    return found


def _half_of_answers(asked: Sequence[Question], rng: np.random.Generator) -> set[str]:
    """Deal answers until half of the questions have one."""
    answers = sorted({a for q in asked for a in q.fact.answers})
    chosen: set[str] = set()
    for answer in rng.permutation(answers).tolist():
        if sum(bool(chosen & {*q.fact.answers}) for q in asked) * 2 >= len(asked):
            break
        chosen.add(answer)
    return chosen


def means(responses: Responses) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean value of every raw neuron and hidden unit over identification prompts."""
    return responses.raw_mean.mean(0), responses.hidden_last.mean(0)
