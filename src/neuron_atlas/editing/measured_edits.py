"""Ask prompts again with an edit in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuron_atlas.editing.fitted_edits import ArmEdit
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.tables import IN_ALL_ARMS, IN_FULL, OF_OTHERS, TEXT
from neuron_atlas.editing.tokenised import texts
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Prompt, encode
from neuron_atlas.model_edits.replay import Replay
from neuron_atlas.model_edits.value_edits import applied, vectors
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query, query

PLACE = ["where", "language", "measured", "template"]
NUMBERS = ["old_before", "new_before", "old_after", "new_after", "unchanged"]
N_RIVALS = 3  # wrong answers, the most probable ones, that may take another fact's answer over
N_VALUES = 1 + N_RIVALS


@dataclass(frozen=True)
class Questions:
    """What edits are measured on.

    Attributes:
        lm: The model; edits are applied to its loaded weights and undone.
        tables: Prompts of each language.
        asked: Prompts to measure; see `asked.asked`.
        tokens: Tokenised answers.
    """

    lm: LanguageModel
    tables: Tables
    asked: pd.DataFrame
    tokens: CandidateTokens


def measure(questions: Questions, case: Case, edits: Sequence[ArmEdit]) -> pd.DataFrame:
    """Apply each edit of a fact in turn, and measure what it does.

    All arms are asked the prompts of `tables.IN_ALL_ARMS`, those of `tables.IN_FULL` the others
    too. Text is read by decoders alone.

    Returns:
        One row per edit and prompt: log-probabilities (nats), before and after, of the answer that
        was right, `old`, and of the new object, `new` (NaN on other facts' prompts); of a text that
        of all its tokens but the first, given those before, in `old`, with their number in
        `tokens`. `unchanged` (NaN but for other facts) is 1 if the same one of the right answer and
        the three most probable wrong ones is the best before and after. `size` is the length of the
        change relative to that of the value vectors it is added to, `share` to the fitted edit's.
    """
    mine = questions.asked[questions.asked["fact"] == case.fact]
    mine = mine[(mine["where"] != TEXT) | (not questions.lm.architecture.encoder)]
    for_all = mine["where"].isin(IN_ALL_ARMS)
    full = [one for one in edits if one.arm in IN_FULL]
    parts = [
        *_asked_under(questions, case, mine[for_all], edits),
        *_asked_under(questions, case, mine[~for_all], full),
    ]
    return pd.concat(parts, ignore_index=True)


def _asked_under(
    questions: Questions, case: Case, prompts: pd.DataFrame, edits: Sequence[ArmEdit]
) -> list[pd.DataFrame]:
    if prompts.empty or not edits:
        return []
    lm, rows = questions.lm, store.records(prompts)
    queries = [_query(questions, case, row) for row in rows]
    replay = Replay(lm)
    with replay.record():
        before = _values(lm, queries)
    tables = []
    for one in edits:
        lowest = int(one.edit.neurons.min()) // lm.n_neurons
        with applied(lm, one.edit), replay.below(lowest):
            after = _values(lm, queries)
        size = float(one.edit.delta.norm() / vectors(lm, one.edit.neurons).float().norm())
        numbers = _numbers(prompts, before, after)
        tables.append(_placed(case, prompts, queries, numbers, one).assign(size=size))
    return tables


def _query(questions: Questions, case: Case, row: Mapping[str, Any]) -> Query:
    """Ask for the old and the new answer; of other facts, for the right one and its rivals."""
    lm, tokens = questions.lm, questions.tokens
    if row["where"] == TEXT:
        read = encode(lm, row["text"]).before
        return Query(Prompt(read[:1], ()), (read[1:],))
    old = tokens.candidate(row, asked_for(row))
    if row["where"] in OF_OTHERS:
        rivals = [tokens.candidate(row, place) for place in _rivals(row)]
        return query(lm, row["prompt"], [old, *(r for r in rivals if r != old)])
    return query(lm, row["prompt"], (old, texts(tokens, case, row)[0]))


def _rivals(row: Mapping[str, Any]) -> list[int]:
    """Return the most probable wrong candidates, the best first."""
    wrong = ~np.isin(row["candidates"], row["objects"])
    values = np.where(wrong, np.asarray(row["log_probabilities"], dtype=float), -np.inf)
    order = np.argsort(-values, kind="stable")[:N_RIVALS]
    return [int(place) for place in order if wrong[place]]


def _values(lm: LanguageModel, queries: Sequence[Query]) -> Float[np.ndarray, "prompt answer"]:
    """Return log-probabilities, NaN where fewer answers are asked."""
    found = np.full((len(queries), N_VALUES), np.nan)
    for i, values in enumerate(log_probabilities(lm, queries)):
        found[i, : values.shape[1]] = values[0]
    return found


def _numbers(
    prompts: pd.DataFrame,
    before: Float[np.ndarray, "prompt answer"],
    after: Float[np.ndarray, "prompt answer"],
) -> pd.DataFrame:
    other = prompts["where"].isin(OF_OTHERS).to_numpy()
    same = np.nanargmax(before, 1) == np.nanargmax(after, 1)
    new = [np.where(other, np.nan, values[:, 1]) for values in (before, after)]
    columns = [before[:, 0], new[0], after[:, 0], new[1], np.where(other, same, np.nan)]
    return pd.DataFrame(np.stack(columns, 1).astype(np.float32), columns=NUMBERS)


def _placed(
    case: Case,
    prompts: pd.DataFrame,
    queries: Sequence[Query],
    numbers: pd.DataFrame,
    one: ArmEdit,
) -> pd.DataFrame:
    place = prompts[PLACE].reset_index(drop=True)
    read = np.where(place["where"] == TEXT, [len(q.answers[0]) for q in queries], 1)
    about: dict[str, Any] = {"fact": case.fact, "relation": case.relation, "new": case.new}
    about |= {"given": case.given, "arm": one.arm, "draw": one.draw, "share": one.share}
    return place.join(numbers).assign(**about, tokens=read)
