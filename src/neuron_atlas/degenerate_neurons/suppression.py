"""Suppress sets of neurons at the answer position, and measure the drop of the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from neuron_atlas.degenerate_neurons.degeneracy import Members
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import Query, query

GROUP = 32  # prompts whose sets are laid out together; a matter of memory
SEQUENCE = 512  # tokens of a sequence; long ones share the prompt among more sets
SHOWN = -2  # in place of a template's number: the testing one, after demonstrations


class PromptSets(NamedTuple):
    """Sets to suppress for one prompt: a fact in a template, or in the context `SHOWN`."""

    fact: str
    template: int
    sets: Sequence[Members]


@dataclass(frozen=True)
class AnswerDrops:
    """Drops of one prompt's answer, by suppressed set.

    Attributes:
        clean: Log-probability of the answer with all neurons on, nats.
        drops: By suppressed set, the drop of the answer's log-probability, nats; negative if
            the answer gains.
        error: Largest audited error of a normaliser, nats; NaN where none was audited.
    """

    clean: float
    drops: dict[Members, float]
    error: float = np.nan


def up_to_pairs(members: Sequence[int]) -> list[Members]:
    """Return all singles and pairs of the members, each set in rising order."""
    rising = sorted(members)
    return [s for size in (1, 2) for s in combinations(rising, size)]


class FactPrompts:
    """A model and the prompts of its facts, on which sets of neurons can be suppressed."""

    def __init__(
        self,
        lm: LanguageModel,
        recalled: pd.DataFrame,
        shown: pd.DataFrame | None = None,
        *,
        tolerance: float = 0.0,
    ) -> None:
        """Take the rows of the recall table whose prompts may be asked.

        Args:
            lm: The model.
            recalled: Rows of the recall table.
            shown: Further rows, one per fact: `contexts.after_demonstrations`.
            tolerance: As in `log_probability.ask`.
        """
        tokens, self._lm, self._tolerance = CandidateTokens(lm), lm, tolerance
        if shown is not None and len(shown):
            recalled = pd.concat([recalled, shown.assign(template=SHOWN)], ignore_index=True)
        self._queries = {
            (str(row["fact"]), int(row["template"])): query(
                lm, row["prompt"], [tokens.candidate(row, asked_for(row))]
            )
            for row in store.records(recalled)
        }

    def can_ask(self, fact: str, template: int) -> bool:
        """Say whether the fact has a prompt in this template, or in the context `SHOWN`."""
        return (fact, template) in self._queries

    def suppress(self, requests: Sequence[PromptSets]) -> Iterator[AnswerDrops]:
        """Yield the drops of each request's answer, in order.

        The answer is teacher-forced, all of its tokens; the neurons (hidden units) are set to 0 at
        the answer position, in a decoder also where the answer's own tokens are read.
        """
        for start in range(0, len(requests), GROUP):
            group = requests[start : start + GROUP]
            yield from self._together(group, [self._queries[r.fact, r.template] for r in group])

    def _together(
        self, requests: Sequence[PromptSets], queries: Sequence[Query]
    ) -> Iterator[AnswerDrops]:
        found = self._switched_off(requests).ask_beside_clean(queries, _arms(requests))
        for request, answers in zip(requests, found, strict=True):
            values = answers.values[:, 0]
            drops = dict(zip(request.sets, (values[0] - values[1:]).tolist(), strict=True))
            yield AnswerDrops(float(values[0]), drops, float(np.fmax.reduce(answers.error)))

    def _switched_off(self, requests: Sequence[PromptSets]) -> Intervention:
        lm = self._lm
        sets = [np.array(s, dtype=np.int64) for r in requests for s in r.sets]
        edits = ablation.edits_of(sets, torch.zeros(1, lm.n_layers, lm.n_neurons))
        return Intervention(lm, edits, tolerance=self._tolerance, sequence=SEQUENCE)


def _arms(requests: Sequence[PromptSets]) -> list[range]:
    ends = np.cumsum([len(r.sets) for r in requests]).tolist()
    return [range(end - len(r.sets), end) for r, end in zip(requests, ends, strict=True)]
