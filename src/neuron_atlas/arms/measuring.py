"""What arms do to the answers of some prompts: to the answer, its type and the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from neuron_atlas.model.tokens import Text
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.beginnings import beginnings, without_continuations
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import Answers
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import query

MEASURES = {
    **dict.fromkeys(("effect", "effect_type", "effect_given_type", "effect_later"), "float32"),
    "audited_error": "float32",
    **dict.fromkeys(("correct_before", "correct_after"), "bool"),
}


@dataclass(frozen=True)
class Question:
    """One prompt, with the tokenised candidates of a relation.

    Attributes:
        right: Which candidates are right.
        target: The right one whose log-probability is followed: the most probable one without
            intervention.
    """

    prompt: str
    candidates: tuple[Text, ...]
    right: Bool[np.ndarray, " candidate"]
    target: int

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Candidates that others begin with: (the short one, the long one)."""
        return beginnings(self.candidates)

    @cached_property
    def first_tokens(self) -> list[Text]:
        """The candidates' first tokens, each once."""
        return list(dict.fromkeys(c[:1] for c in self.candidates))


def question(tokens: CandidateTokens, row: Mapping[str, Any]) -> Question:
    """Tokenise a row's prompt and the candidates of its fact, whose right answers are followed."""
    prompt = row["prompt"]
    texts = tokens.answers(prompt, row["separator"], row["candidate_labels"])
    right = np.isin(row["candidates"], row["objects"])
    return Question(prompt, tuple(texts), right, asked_for(row))


class Measured(NamedTuple):
    """What was measured of one question, of the unedited model first, then of each arm.

    Attributes:
        answer: Log-probability of the answer, nats.
        type: Log-probability of the type: that the next token begins some candidate, nats.
        given_type: Log-probability of the answer's first token among those beginnings, nats.
        error: Audited error of the normalisers, nats; NaN where none was audited.
        correct: Whether a right candidate is the most probable one.
    """

    answer: Float[np.ndarray, " arm"]
    type: Float[np.ndarray, " arm"]
    given_type: Float[np.ndarray, " arm"]
    error: Float[np.ndarray, " arm"]
    correct: Bool[np.ndarray, " arm"]

    def table(self) -> pd.DataFrame:
        """Return the changes under each arm, with the columns and types of `MEASURES`.

        The change of the answer is the sum of the others: of its type, of its first token given the
        type, and of its later tokens given the first, 0 for an answer of one token.
        """
        later = self.answer - self.type - self.given_type
        columns = {
            "effect": self.answer[1:] - self.answer[0],
            "effect_type": self.type[1:] - self.type[0],
            "effect_given_type": self.given_type[1:] - self.given_type[0],
            "effect_later": later[1:] - later[0],
            "audited_error": self.error[1:],
            "correct_before": np.repeat(self.correct[0], len(self.correct) - 1),
            "correct_after": self.correct[1:],
        }
        return pd.DataFrame(columns).astype(MEASURES)


def measure(
    intervention: Intervention, questions: Sequence[Question], arms: Sequence[Sequence[int]]
) -> list[Measured]:
    """Ask each question without intervention and under each of its arms.

    A wrong candidate's first token bounds its log-probability from above, so only those whose bound
    reaches the best right answer are scored to their end; predictions are exact. An encoder has
    other masks for each length of answer: there a first token bounds nothing, and all candidates
    are scored whole.
    """
    encoder = intervention.lm.architecture.encoder
    forms = [_Form(q, encoder=encoder) for q in questions]
    queries = [query(intervention.lm, f.question.prompt, f.texts) for f in forms]
    found = intervention.ask_beside_clean(queries, arms)
    doubts = [_Doubt(f, f.bounds(a.values)) for f, a in zip(forms, found, strict=True)]
    _settle(intervention, doubts, arms)
    return [
        Measured(f.answer(a), *f.parts(a), a.error, d.correct)
        for f, a, d in zip(forms, found, doubts, strict=True)
    ]


@dataclass(frozen=True)
class _Form:
    """Which texts are scored for a question at first."""

    question: Question
    encoder: bool

    @cached_property
    def whole(self) -> bool:
        """Whether all candidates are scored to their end: a right one may begin another one."""
        return self.encoder or any(self.question.right[short] for short, _ in self.question.pairs)

    @cached_property
    def scored(self) -> Int[np.ndarray, " scored"]:
        """The candidates that are scored to their end."""
        return np.flatnonzero(self.question.right | self.whole)

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """The scored candidates, then all first tokens; an encoder reads no first token alone."""
        first = [] if self.encoder else self.question.first_tokens
        return (*(self.question.candidates[i] for i in self.scored), *first)

    def bounds(self, values: Float[np.ndarray, "arm text"]) -> Float[np.ndarray, "arm candidate"]:
        """Return each candidate's log-probability, or what bounds it from above."""
        q, n = self.question, len(self.scored)
        if self.whole:
            known = values[:, :n]
            return known if self.encoder else without_continuations(known, q.candidates)
        place = {token: n + i for i, token in enumerate(q.first_tokens)}
        found = values[:, [place[c[:1]] for c in q.candidates]]
        found[:, self.scored] = values[:, :n]
        return found

    def answer(self, answers: Answers) -> Float[np.ndarray, " arm"]:
        """Return the log-probability of the answer."""
        return answers.values[:, self._target]

    def parts(
        self, answers: Answers
    ) -> tuple[Float[np.ndarray, " arm"], Float[np.ndarray, " arm"]]:
        """Return the log-probabilities of the type, and of the answer's first token given it.

        An encoder's type is that each mask of the answer is filled with a token that some candidate
        of its length has there.
        """
        first = self._target
        if not self.encoder:
            begun = self.question.candidates[self.question.target][:1]
            first = len(self.scored) + self.question.first_tokens.index(begun)
        given = answers.given_type[:, first]
        return answers.values[:, first] - given, given

    @property
    def _target(self) -> int:
        return int(np.flatnonzero(self.scored == self.question.target)[0])


@dataclass
class _Doubt:
    """Whether a question's prediction is right under each arm, as far as it is known.

    Attributes:
        form: What was scored.
        bounds: Of each candidate, its log-probability or what bounds it from above.
    """

    form: _Form
    bounds: Float[np.ndarray, "arm candidate"]

    def __post_init__(self) -> None:
        q = self.form.question
        self.best = self.bounds[:, q.right].max(1)
        above = (self.bounds >= self.best[:, None]) & ~q.right
        begins = np.isin(np.arange(len(q.right)), [short for short, _ in q.pairs])
        exact = np.array([len(c) == 1 for c in q.candidates]) & ~begins | self.form.whole
        self.correct = ~above[:, exact].any(1)
        self.arms = np.flatnonzero(self.correct & above[:, ~exact].any(1))
        rivals = np.flatnonzero(above[self.arms].any(0) & ~exact)
        self.rivals = [int(i) for i in rivals]

    @property
    def texts(self) -> list[Text]:
        """The rivals, and the candidates that continue them."""
        q = self.form.question
        more = [long for short, long in q.pairs if short in self.rivals and long not in self.rivals]
        return [q.candidates[i] for i in (*self.rivals, *more)]

    def settle(self, values: Float[np.ndarray, "doubtful text"]) -> None:
        """Take the rivals' log-probabilities under the arms that are in doubt."""
        alone = without_continuations(values, self.texts)[:, : len(self.rivals)]
        self.correct[self.arms] = ~(alone >= self.best[self.arms, None]).any(1)


def _settle(
    intervention: Intervention, doubts: Sequence[_Doubt], arms: Sequence[Sequence[int]]
) -> None:
    """Score the rivals to their end where a prediction is in doubt."""
    left = [(d, (UNEDITED, *own)) for d, own in zip(doubts, arms, strict=True) if len(d.arms)]
    queries = [query(intervention.lm, d.form.question.prompt, d.texts) for d, _ in left]
    found = intervention.ask_beside_clean(queries, [[own[i] for i in d.arms] for d, own in left])
    for (doubt, _), answers in zip(left, found, strict=True):
        doubt.settle(answers.values[1:])
