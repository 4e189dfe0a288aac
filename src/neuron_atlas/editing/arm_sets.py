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
from neuron_atlas.editing import plan, tables
from neuron_atlas.editing.independent import independent_neurons
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.interventions import neuron_sets
from neuron_atlas.interventions.neuron_sets import NeuronSet, matched
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import neurons_by_grade
from neuron_atlas.neurons.language_sets import LanguageSets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import progress, store
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens

NONE = np.empty(0, dtype=np.int64)
Order = Int[np.ndarray, "_"]
Orders = dict[str, dict[str, Order]]  # by language, by fact: neurons, best first


@dataclass(frozen=True)
class SetInputs:
    """What the sets are chosen from.

    Attributes:
        tables: Prompts of each language.
        scores: Scores of each source.
        sizes: Activation sizes of each language, which random sets match.
        target: What the scores explain, also when they are computed anew.
        rule: What makes a neuron language-independent: the section `language_neurons`.
        specific: Language-specific neurons, by language.
    """

    tables: Tables
    scores: Mapping[str, pd.DataFrame]
    sizes: Mapping[str, RelationSets]
    target: Target
    rule: SharingRule
    specific: LanguageSets


def choose_sets(
    lm: LanguageModel, stored: SetInputs, cases: Sequence[Case], how: EditingPlan, *, seed: int
) -> list[NeuronSet]:
    """Return every arm's set of every case, chosen on prompts that are not measured afterwards.

    `independent` neurons are the best of those that `independent.independent_neurons` finds in the
    sources, at most `how.neurons`; all arms of a fact have as many. A fact with fewer of them than
    sources has no such set, and no `random` ones, which match the independent ones in layer and
    size; its other arms have `how.neurons`. `monolingual_neurons` and `monolingual` are both the
    first source's best: they differ in what they are fitted to. `language_specific` ones are those
    of the lowest entropy in the first source, whatever the fact; a language with fewer has none.
    `joint` ones are the best of each source, in equal parts. `sequential` ones come in equal parts
    too: each source's part is chosen
    by value x gradient with all earlier parts suppressed (Chen et al. 2024, arXiv 2308.13198,
    section 4.3, whose code undoes the first edit before the second).

    Args:
        lm: The model.
        stored: Prompts, scores and activation sizes.
        cases: The facts.
        how: Neurons per set, and random sets per case.
        seed: The seed.

    Raises:
        ValueError: a fact has fewer than `how.neurons` stored neurons.
    """
    scores = _not_measured(stored, cases)
    orders = _orders(scores)
    _require_enough(orders, cases, how.neurons)
    shared = independent_neurons(scores, cases, stored.rule)
    enough = {case.fact: len(shared[case.fact]) >= len(case.sources) for case in cases}
    sizes = {
        fact: min(len(shared[fact]), how.neurons) if some else how.neurons
        for fact, some in enough.items()
    }
    sequential = _sequential(lm, stored, orders, cases, sizes)
    found = []
    for case in cases:
        m, own = sizes[case.fact], [orders[language][case.fact] for language in case.sources]
        arms = {
            tables.MONOLINGUAL_NEURONS: own[0][:m],
            tables.MONOLINGUAL: own[0][:m],
            tables.JOINT: in_parts(own, m),
            tables.SEQUENTIAL: sequential[case.fact],
        }
        specific = stored.specific.get(case.sources[0], NONE)[:m]
        if len(specific) == m:
            arms[tables.LANGUAGE_SPECIFIC] = specific
        found += [NeuronSet(case.fact, case.relation, arm, n) for arm, n in arms.items()]
        if enough[case.fact]:
            best = shared[case.fact][:m]
            first = NeuronSet(case.fact, case.relation, tables.INDEPENDENT, best)
            like = stored.sizes[case.sources[0]]
            random = matched(first, like, stage="editing", seed=seed, n_draws=how.n_draws)
            found += [first, *random]
    return found


def _not_measured(stored: SetInputs, cases: Sequence[Case]) -> dict[str, pd.DataFrame]:
    """Return the sources' scores of the cases, of the paraphrases that are not measured."""
    facts = {case.fact for case in cases}
    return {
        language: prompt_choice.other_paraphrases(
            table[table["fact"].isin(facts)], stored.tables.held[language]
        )
        for language, table in stored.scores.items()
        if any(language in case.sources for case in cases)
    }


def _orders(scores: Mapping[str, pd.DataFrame]) -> Orders:
    method = neuron_sets.METHODS[neuron_sets.AMIG]
    return {language: neurons_by_grade(table, method=method) for language, table in scores.items()}


def _require_enough(orders: Orders, cases: Sequence[Case], m: int) -> None:
    for case in cases:
        for language in case.sources:
            n = len(orders[language].get(case.fact, ()))
            if n < m:
                raise ValueError(
                    f"editing.neurons is {m}, but only {n} neurons of fact {case.fact!r} are "
                    f"stored for {language}; lower editing.neurons or raise attributions.keep"
                )


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
    lm: LanguageModel,
    stored: SetInputs,
    orders: Orders,
    cases: Sequence[Case],
    sizes: Mapping[str, int],
) -> dict[str, Order]:
    n_sources = max(len(c.sources) for c in cases) if cases else 1
    parts = {fact: part_sizes(m, n_sources) for fact, m in sizes.items()}
    taken = {case.fact: np.empty(0, dtype=np.int64) for case in cases}
    for step in range(n_sources):
        if step == 0:
            now = {case.fact: orders[case.sources[0]][case.fact] for case in cases}
        else:
            now = _rescored(lm, stored, cases, step, taken)
        taken = {fact: _extended(taken[fact], now[fact], parts[fact][step]) for fact in taken}
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
