"""Edit facts across languages: fit each arm's edit, then ask again with it in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from neuron_atlas.attributions.questions import Point, Question, points
from neuron_atlas.editing import plan
from neuron_atlas.editing.arm_sets import part_sizes
from neuron_atlas.editing.descent import FitTask, search
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.replay import Replay
from neuron_atlas.editing.settings import Descent
from neuron_atlas.editing.tables import SEQUENTIAL
from neuron_atlas.editing.value_edits import ValueEdit, applied, vectors
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query, query

PLACE = ["where", "language", "measured", "template"]


@dataclass(frozen=True)
class EditingSetup:
    """What all arms of an editing experiment share.

    Attributes:
        lm: The model; edits are applied to its loaded weights and undone.
        tables: Prompts of each language.
        sets: Every arm's neurons, as `arm_sets.choose_sets` gives them: for each case the same
            arms in the same order.
        asked: Prompts to measure; see `plan.asked`.
        how: How edits are fitted.
        tokens: Tokenised answers.
    """

    lm: LanguageModel
    tables: Tables
    sets: Sequence[NeuronSet]
    asked: pd.DataFrame
    how: Descent
    tokens: CandidateTokens


def measure_edits(setup: EditingSetup, cases: Sequence[Case]) -> pd.DataFrame:
    """Fit and apply every arm's edit of some facts, and measure what each does.

    Returns:
        One row per arm and prompt: log-probabilities (nats), before and after, of the answer that
        was right, `old`, and of the new object, `new` (NaN on unrelated prompts); `size` is the
        length of the change relative to that of the value vectors it is added to.
    """
    sets = {case.fact: [s for s in setup.sets if s.fact == case.fact] for case in cases}
    found = fit_edits(setup, cases, sets)
    tables = []
    for case in cases:
        prompts = setup.asked[setup.asked["fact"] == case.fact]
        queries = _queries(setup, case, prompts)
        replay = Replay(setup.lm)
        with replay.record():
            before = _ask(setup.lm, queries)
        for own, change in zip(sets[case.fact], found[case.fact], strict=True):
            length = float(change.delta.norm() / vectors(setup.lm, own.neurons).float().norm())
            lowest = int(own.neurons.min()) // setup.lm.n_neurons
            with applied(setup.lm, change), replay.below(lowest):
                after = _ask(setup.lm, queries)
            tables.append(_table(case, own, prompts, before, after).assign(size=length))
    return pd.concat(tables, ignore_index=True)


def fit_edits(
    setup: EditingSetup, cases: Sequence[Case], sets: dict[str, list[NeuronSet]]
) -> dict[str, list[ValueEdit]]:
    """Fit each arm's edit: to all sources' prompts at once, or to one source after another.

    The sequential arm first fits the first source's neurons to the first source's prompts, then the
    second source's to the second's prompts with the first change in force, and so on. All other
    arms are fitted to all prompts at once.
    """
    task, language = _task(setup, cases, sets)
    n_sources, m = len(cases[0].sources), task.neurons.shape[2]
    part = torch.from_numpy(np.repeat(np.arange(n_sources), part_sizes(m, n_sources)))
    turn = [s.method for s in sets[cases[0].fact]].index(SEQUENTIAL)
    task.train[:, turn] = part == 0
    task.use[:, turn] = language == 0
    delta = search(setup.lm, task, setup.how)
    for step in range(1, n_sources):
        alone = _task_of_one_set(task, turn, train=part == step, prompts=language == step)
        own = delta[:, [turn]]
        delta[:, [turn]] = search(setup.lm, alone, setup.how, start=own)
    return {
        case.fact: [
            ValueEdit(s.neurons, d) for s, d in zip(sets[case.fact], delta[i].cpu(), strict=True)
        ]
        for i, case in enumerate(cases)
    }


def _task_of_one_set(
    task: FitTask, turn: int, *, train: Bool[Tensor, " m"], prompts: Bool[Tensor, " point"]
) -> FitTask:
    """Return the task of fitting some vectors of one set to some of the prompts."""
    neurons = task.neurons[:, [turn]]
    return FitTask(
        prompts=[p for p, used in zip(task.prompts, prompts.tolist(), strict=True) if used],
        fact=task.fact[prompts],
        neurons=neurons,
        train=train.expand(neurons.shape),
        use=torch.ones(int(prompts.sum()), 1, dtype=torch.bool),
    )


def _task(
    setup: EditingSetup, cases: Sequence[Case], sets: dict[str, list[NeuronSet]]
) -> tuple[FitTask, Tensor]:
    """Return the cases' common task, and the index of each prompt's source."""
    prompts: list[Point] = []
    owner, language = [], []
    for i, case in enumerate(cases):
        for row in store.records(plan.fitted(setup.tables, case)):
            prompts.append(_point(setup, case, row))
            owner.append(i)
            language.append(case.sources.index(row["language"]))
    neurons = np.stack([[s.neurons for s in sets[case.fact]] for case in cases])
    everywhere = torch.ones(neurons.shape, dtype=torch.bool)
    used = torch.ones(len(prompts), neurons.shape[1], dtype=torch.bool)
    task = FitTask(prompts, torch.tensor(owner), torch.from_numpy(neurons), everywhere, used)
    return task, torch.tensor(language)


def _point(setup: EditingSetup, case: Case, row: Mapping[str, Any]) -> Point:
    """Return the answer's first token as a point: the new one, with the old one as alternative.

    In an encoder both are read at the first of the new answer's masks.
    """
    new, old = _texts(setup.tokens, case, row)
    (first, *_) = points(setup.lm, Question(row["prompt"], new))
    return first._replace(choices=(new[0], old[0]))


def _texts(tokens: CandidateTokens, case: Case, row: Mapping[str, Any]) -> tuple[Text, Text]:
    """Return the tokens of the new object and of the old answer."""
    new = row["candidates"].index(case.new)
    return tokens.candidate(row, new), tokens.candidate(row, asked_for(row))


def _queries(setup: EditingSetup, case: Case, prompts: pd.DataFrame) -> list[Query]:
    """Ask for the old and the new answer; on prompts of other facts, only for the old one."""
    found = []
    for row in store.records(prompts):
        old = setup.tokens.candidate(row, asked_for(row))
        related = row["measured"] == case.fact
        texts = (old, _texts(setup.tokens, case, row)[0]) if related else (old,)
        found.append(query(setup.lm, row["prompt"], texts))
    return found


def _ask(lm: LanguageModel, queries: Sequence[Query]) -> np.ndarray:
    """Return log-probabilities [prompt, (old, new)]; NaN where the new answer is not asked."""
    found = np.full((len(queries), 2), np.nan)
    for i, values in enumerate(log_probabilities(lm, queries)):
        found[i, : values.shape[1]] = values[0]
    return found


def _table(
    case: Case, own: NeuronSet, prompts: pd.DataFrame, before: np.ndarray, after: np.ndarray
) -> pd.DataFrame:
    place = prompts[PLACE].reset_index(drop=True)
    values = np.hstack([before, after]).astype(np.float32)
    names = ["old_before", "new_before", "old_after", "new_after"]
    numbers = pd.DataFrame(values, columns=names)
    return place.join(numbers).assign(
        fact=case.fact, relation=case.relation, arm=own.method, draw=own.draw, new=case.new
    )
