"""Does the model know a fact? Log-probability, rank and accuracy among typed candidates."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.store import records
from neuron_atlas.scoring.beginnings import beginnings
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.scoring.trees import query

COLUMNS = [
    "fact",
    "relation",
    "subject",
    "template",
    "prompt",
    "subject_start",
    "subject_end",
    "separator",
    "objects",
    "candidates",
    "candidate_labels",
]


@dataclass(frozen=True)
class Judgement:
    """How one prompt's candidates were ranked.

    Attributes:
        log_probability: Of the most probable correct answer, nats.
        rank: 1 + the number of wrong candidates that are at least as probable (the filtered rank
            of Bordes et al. 2013; other correct answers do not count against one).
        predicted: Index of the most probable candidate; right exactly when the rank is 1.
    """

    log_probability: float
    rank: int
    predicted: int


def judge(
    values: Float[np.ndarray, " candidate"], right: Bool[np.ndarray, " candidate"]
) -> Judgement:
    """Rank the best correct candidate among the wrong ones.

    Args:
        values: Log-probability of each typed candidate, nats.
        right: Which candidates are correct answers.

    Raises:
        ValueError: no candidate is correct, or a value is NaN.
    """
    if not right.any():
        raise ValueError("no candidate is a correct answer; expected at least one of the objects")
    if np.isnan(values).any():
        raise ValueError(f"log-probabilities of {int(np.isnan(values).sum())} candidates are NaN")
    best = values[right].max()
    above = int((values[~right] >= best).sum())
    predicted = np.lexsort((right, -values))[0]  # of equal candidates, a wrong one
    return Judgement(float(best), 1 + above, int(predicted))


def score(lm: LanguageModel, facts: pd.DataFrame, *, exact: int | None = None) -> pd.DataFrame:
    """Score the typed candidates of every prompt.

    Args:
        lm: The model.
        facts: One row per prompt, with the columns `COLUMNS`.
        exact: As in `contenders.score_contenders`.

    Returns:
        `facts` with `log_probabilities` (of the candidates as in `contenders.Contenders`, nats; an
        upper bound where not `complete`), `complete`, `n_beginnings` (pairs of a candidate and the
        next one that continues it), `log_probability`, `rank`, `predicted` (a candidate's id) and
        `correct`.
    """
    tokens, rows = CandidateTokens(lm), records(facts)
    asked = [
        query(lm, r["prompt"], tokens.answers(r["prompt"], r["separator"], r["candidate_labels"]))
        for r in rows
    ]
    right = [np.isin(r["candidates"], r["objects"]) for r in rows]
    found = score_contenders(lm, asked, right, exact=exact)
    judged = [judge(one.values, ok) for one, ok in zip(found, right, strict=True)]
    lists: dict[str, Any] = {
        "log_probabilities": [one.values.astype(np.float32) for one in found],
        "complete": [one.complete for one in found],
        "n_beginnings": [len(beginnings(one.answers)) for one in asked],
    }
    return facts.assign(
        **lists,
        log_probability=np.array([j.log_probability for j in judged]),
        rank=np.array([j.rank for j in judged]),
        predicted=[c[j.predicted] for c, j in zip(facts["candidates"], judged, strict=True)],
        correct=np.array([j.rank == 1 for j in judged]),
    )


def with_known(scored: pd.DataFrame) -> pd.DataFrame:
    """Add `known`: the fact's typed prediction is right on more than half of its paraphrases."""
    share = scored.groupby("fact")["correct"].transform("mean")
    return scored.assign(known=share > 0.5)


def with_halves(scored: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Add the half of each fact's subject and answers, which depends on the seed.

    Args:
        scored: Answers to a fact table's questions.
        facts: The fact table.

    Returns:
        The rows by relation, template and half.
    """
    found = roles.with_halves(scored, roles.halves(facts))
    order = ["relation", "template", "split"]
    return found.sort_values(order, kind="stable", ignore_index=True)


def with_reference(
    scored: pd.DataFrame, reference: LanguageModel | None, *, n: int
) -> pd.DataFrame:
    """Add `reference`: the answer's log-probability in float32 for `n` prompts, NaN for the others.

    It measures what the stored precision costs. The prompts are the first by a hash of their text,
    the same at every seed. A `reference` of None says that the scores are float32's own.
    """
    number = scored["prompt"].map(lambda text: sha256(text.encode()).digest())
    some = scored.loc[number.sort_values(kind="stable").index[:n].sort_values()]
    exact = some if reference is None else score(reference, some, exact=1)
    return scored.assign(reference=exact["log_probability"].reindex(scored.index))
