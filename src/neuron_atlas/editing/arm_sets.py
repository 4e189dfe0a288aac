"""Choose the neurons that each arm of an editing experiment changes: equally many in every arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.attributions.settings import Target
from neuron_atlas.editing import plan
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.editing.tables import INDEPENDENT, JOINT, MONOLINGUAL, SEQUENTIAL
from neuron_atlas.interventions import neuron_sets
from neuron_atlas.interventions.neuron_sets import NeuronSet, matched
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import geometric_rank, neurons_by_grade
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import progress, store
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens

Order = Int[np.ndarray, "_"]
Orders = dict[str, dict[str, Order]]  # by language, by fact: neurons, best first


@dataclass(frozen=True)
class SetInputs:
    """What the sets are chosen from.

    Attributes:
        tables: Prompts of each language.
        scores: Stored scores of each language.
        sizes: Activation sizes of each language, which random sets match.
        target: What the scores explain, also when they are computed anew.
    """

    tables: Tables
    scores: Mapping[str, pd.DataFrame]
    sizes: Mapping[str, RelationSets]
    target: Target


def choose_sets(
    lm: LanguageModel, stored: SetInputs, cases: Sequence[Case], how: EditingPlan, *, seed: int
) -> list[NeuronSet]:
    """Return every arm's set of every case, chosen on prompts that are not measured afterwards.

    `independent` neurons are the best by the geometric mean of their ranks over the sources,
    `monolingual` ones the first source's best, and `joint` ones the best of each source, in equal
    parts. `sequential` ones come in equal parts too: each source's part is chosen by value x
    gradient with all earlier parts suppressed (Chen et al. 2024, arXiv 2308.13198, section 4.3,
    whose code undoes the first edit before the second). `random` ones match the independent ones in
    layer and size.

    Args:
        lm: The model.
        stored: Prompts, scores and activation sizes.
        cases: The facts.
        how: Neurons per set, and random sets per case.
        seed: The seed.

    Raises:
        ValueError: a fact has fewer than `how.neurons` stored neurons.
    """
    m, orders = how.neurons, _orders(stored, cases)
    _require_enough(orders, cases, m)
    sequential = _sequential(lm, stored, orders, cases, m=m)
    found = []
    for case in cases:
        own = [orders[language][case.fact] for language in case.sources]
        arms = {
            INDEPENDENT: by_shared_rank(own)[:m],
            MONOLINGUAL: own[0][:m],
            JOINT: in_parts(own, m),
            SEQUENTIAL: sequential[case.fact],
        }
        sets = [NeuronSet(case.fact, case.relation, arm, n) for arm, n in arms.items()]
        sizes = stored.sizes[case.sources[0]]
        random = matched(sets[0], sizes, stage="editing", seed=seed, n_draws=how.n_draws)
        found += [*sets, *random]
    return found


def _orders(stored: SetInputs, cases: Sequence[Case]) -> Orders:
    method = neuron_sets.METHODS[neuron_sets.AMIG]
    languages = sorted({language for case in cases for language in case.sources})
    facts = {case.fact for case in cases}
    found = {}
    for language in languages:
        scores = stored.scores[language]
        table = scores[scores["fact"].isin(facts)]
        shown = prompt_choice.other_paraphrases(table, stored.tables.held[language])
        found[language] = neurons_by_grade(shown, method=method)
    return found


def _require_enough(orders: Orders, cases: Sequence[Case], m: int) -> None:
    for case in cases:
        for language in case.sources:
            n = len(orders[language].get(case.fact, ()))
            if n < m:
                raise ValueError(
                    f"editing.neurons is {m}, but only {n} neurons of fact {case.fact!r} are "
                    f"stored for {language}; lower editing.neurons or raise attributions.keep"
                )


def by_shared_rank(orders: Sequence[Order]) -> Order:
    """Return all neurons by the geometric mean of their ranks, best first; ties by index."""
    every = np.unique(np.concatenate(orders))
    return every[np.lexsort((every, geometric_rank(orders, every).round(9)))]


def in_parts(orders: Sequence[Order], m: int) -> Order:
    """Return the best of each order in equal parts, `m` in all; earlier orders choose first."""
    taken = np.empty(0, dtype=np.int64)
    for order, size in zip(orders, part_sizes(m, len(orders)), strict=True):
        taken = _extended(taken, order, size)
    return taken


def part_sizes(m: int, n: int) -> list[int]:
    """Split `m` neurons into `n` parts whose sizes differ by one at most, larger ones first."""
    return [len(part) for part in np.array_split(np.arange(m), n)]


def _extended(taken: Order, order: Order, size: int) -> Order:
    return np.concatenate([taken, order[~np.isin(order, taken)][:size]])


def _sequential(
    lm: LanguageModel, stored: SetInputs, orders: Orders, cases: Sequence[Case], *, m: int
) -> dict[str, Order]:
    taken = {case.fact: np.empty(0, dtype=np.int64) for case in cases}
    for step, size in enumerate(part_sizes(m, max(len(c.sources) for c in cases) if cases else 1)):
        if step == 0:
            now = {case.fact: orders[case.sources[0]][case.fact] for case in cases}
        else:
            now = _rescored(lm, stored, cases, step, taken)
        taken = {fact: _extended(taken[fact], now[fact], size) for fact in taken}
    return taken


def _rescored(
    lm: LanguageModel,
    stored: SetInputs,
    cases: Sequence[Case],
    step: int,
    taken: Mapping[str, Order],
) -> dict[str, Order]:
    """Rank each case's neurons by one source's scores, with the neurons in `taken` suppressed."""
    tokens, owners, questions = CandidateTokens(lm), [], []
    for case in cases:
        for row in store.records(plan.shown(stored.tables, case.fact, case.sources[step])):
            owners.append(case.fact)
            questions.append(question_of(tokens, row))
    keep = torch.ones(len(questions), lm.n_layers * lm.n_neurons)
    for i, fact in enumerate(owners):
        keep[i, torch.from_numpy(taken[fact])] = 0
    factors = keep.view(len(questions), lm.n_layers, lm.n_neurons)
    total = {case.fact: torch.zeros(keep.shape[1]) for case in cases}
    with progress.bar("neurons of sequential edits", total=len(questions)) as shown:
        for part in gradients.gradient_activation(
            lm, questions, target=stored.target, keep=factors
        ):
            for i, scores in zip(part.places.tolist(), part.scores.flatten(1), strict=True):
                total[owners[i]] += scores / scores.max().clamp_min(1e-30)
            shown.update(len(part.places))
    return {fact: s.argsort(descending=True, stable=True).numpy() for fact, s in total.items()}
