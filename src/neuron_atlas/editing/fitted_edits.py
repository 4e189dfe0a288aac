"""Fit each arm's edit of some facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from neuron_atlas.editing.arm_sets import part_sizes
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.tables import MONOLINGUAL, SEQUENTIAL
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.descent import FitTask, search
from neuron_atlas.model_edits.fit_prompts import FitPrompts
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import ValueEdit


@dataclass(frozen=True)
class ArmEdit:
    """One arm's edit of one fact.

    Attributes:
        arm: The arm.
        edit: What is changed.
        draw: Number of the random draw; -1 where nothing is drawn.
        share: Of the fitted edit; see `equal_reliability.to_margin`.
    """

    arm: str
    edit: ValueEdit
    draw: int = -1
    share: float = 1.0


def fit_edits(
    lm: LanguageModel,
    cases: Sequence[Case],
    prompts: FitPrompts,
    sets: Mapping[str, Sequence[NeuronSet]],
    how: Descent,
) -> dict[str, list[ArmEdit]]:
    """Fit each arm's edit: to all sources' prompts at once, but for two arms.

    The monolingual arm is fitted to the first source's prompts alone. The sequential arm first fits
    the first source's neurons to the first source's prompts, then the second source's to the
    second's prompts with the first change in force, and so on: it takes as many steps for each.

    Args:
        lm: The model.
        cases: The facts.
        prompts: Theirs.
        sets: Of each fact, the sets of its arms: the same arms in the same order for all facts.
        how: Steps and bounds.
    """
    task = _task(cases, prompts, sets)
    arms = [s.method for s in sets[cases[0].fact]]
    if MONOLINGUAL in arms:
        task.use[:, arms.index(MONOLINGUAL)] = prompts.source == 0
    if SEQUENTIAL in arms:
        delta = _with_turns(lm, task, prompts, how, turn=arms.index(SEQUENTIAL))
    else:
        delta = search(lm, task, how)
    return {
        case.fact: [
            ArmEdit(s.method, ValueEdit(s.neurons, d), s.draw)
            for s, d in zip(sets[case.fact], delta[i].cpu(), strict=True)
        ]
        for i, case in enumerate(cases)
    }


def _with_turns(
    lm: LanguageModel, task: FitTask, prompts: FitPrompts, how: Descent, *, turn: int
) -> Tensor:
    """Fit all sets, and one of them in as many turns as there are sources."""
    n_sources, m = int(prompts.source.max()) + 1, task.neurons.shape[2]
    part = torch.from_numpy(np.repeat(np.arange(n_sources), part_sizes(m, n_sources)))
    task.train[:, turn] = part == 0
    task.use[:, turn] = prompts.source == 0
    delta = search(lm, task, how)
    for step in range(1, n_sources):
        used = prompts.source == step
        alone = _task_of_one_set(task, turn, train=part == step, prompts=used)
        delta[:, [turn]] = search(lm, alone, how, start=delta[:, [turn]])
    return delta


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
    cases: Sequence[Case], prompts: FitPrompts, sets: Mapping[str, Sequence[NeuronSet]]
) -> FitTask:
    """Return the cases' common task: all vectors may change, for all prompts."""
    neurons = np.stack([[s.neurons for s in sets[case.fact]] for case in cases])
    everywhere = torch.ones(neurons.shape, dtype=torch.bool)
    used = torch.ones(len(prompts.points), neurons.shape[1], dtype=torch.bool)
    return FitTask(prompts.points, prompts.fact, torch.from_numpy(neurons), everywhere, used)
