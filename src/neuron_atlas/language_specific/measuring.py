"""What one language's texts and answers lose while sets of neurons are set to 0."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.arms import arm as listed
from neuron_atlas.arms.arm import Scaled
from neuron_atlas.arms.controls import scaled
from neuron_atlas.arms.push import Writing
from neuron_atlas.language_specific import set_arms
from neuron_atlas.language_specific.passes import token_values
from neuron_atlas.language_specific.pushes import TextValues
from neuron_atlas.language_specific.tables import ARM, ON_ANSWERS, ON_TEXTS, typed
from neuron_atlas.language_specific.texts import Text, around
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import log_probability
from neuron_atlas.scoring.ablation import Edits, Intervention
from neuron_atlas.scoring.beginnings import without_continuations
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.log_probability import Intervene
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import Query, query

Values = Float[np.ndarray, "arm answer"]


@dataclass(frozen=True)
class Arms:
    """The arms of one language, ready to be measured.

    Attributes:
        writing: The model, and what its neurons write.
        planned: The arms.
    """

    writing: Writing
    planned: Sequence[Scaled]

    @property
    def lm(self) -> LanguageModel:
        """The model."""
        return self.writing.lm

    def ask(
        self, seen: Sequence[Text], queries: Sequence[Query]
    ) -> Iterator[tuple[Values, pd.DataFrame]]:
        """Ask queries without intervention and under every arm.

        Neurons are set to 0 at every position, also at the answer's own tokens, but not at the
        special token in front of a text: it is the same in all languages, and what it holds would
        outweigh the text's own tokens in a push.

        Args:
            seen: Of each query the tokens over which pushes are taken and made equal.
            queries: The queries.

        Yields:
            Of each query the log-probabilities of its answers, nats, the unedited model's first;
            and one row per arm, with the columns of `tables.ARM` but for `effect`.
        """
        prepared = self._edits()
        gains, pushes = scaled(self.planned, prepared, self._values(seen))
        own = set_arms.of_equal_neurons(self.planned)
        numbers = [_distinct(gain, own) for gain in gains.T]
        n = len(self.planned)
        found = log_probability.ask(
            self.lm,
            queries,
            arms=[(UNEDITED, *(i * n + asked).tolist()) for i, (asked, _) in enumerate(numbers)],
            intervene=self._opened(listed.on_each_prompt(prepared, gains)),
            everywhere=True,
        )
        about = listed.describe([one.arm for one in self.planned])
        for answers, (_, back), moved in zip(found, numbers, pushes.T, strict=True):
            values = answers.values[np.concatenate([[0], 1 + back])]
            yield values, about.assign(push=moved)[[name for name in ARM if name != "effect"]]

    def _edits(self) -> Edits:
        zeros = torch.zeros(self.lm.n_layers, self.lm.n_neurons)
        return listed.edits([one.arm for one in self.planned], {"": zeros})

    def _values(self, seen: Sequence[Text]) -> TextValues:
        values, owner = token_values(self.lm, seen)
        return TextValues(self.writing, values, owner)

    def _opened(self, edits: Edits) -> Intervene:
        whole = Intervention(self.lm, edits, everywhere=True).opened
        before, _ = around(self.lm.tokenizer)
        return spared(whole, len(before))


def spared(intervene: Intervene, n: int) -> Intervene:
    """Return an intervention that leaves the first `n` positions of every sequence alone."""

    @contextmanager
    def opened(arm: Int[Tensor, "batch position"]) -> Iterator[None]:
        kept = arm.clone()
        kept[:, :n] = UNEDITED
        with intervene(kept):
            yield

    return opened


def _distinct(
    gain: Float[np.ndarray, " arm"], own: Int[np.ndarray, " arm"]
) -> tuple[Int[np.ndarray, " asked"], Int[np.ndarray, " arm"]]:
    """Return the arms to ask, and of each arm which of them it is.

    An arm at gain 1 is the first arm with its neurons, whose gain is 1 too.
    """
    places = np.where((gain == 1) & (gain[own] == 1), own, np.arange(len(gain)))
    asked, back = np.unique(places, return_inverse=True)
    return asked, back


def measure_texts(arms: Arms, language: str, texts: Sequence[Text]) -> pd.DataFrame:
    """Measure every arm on some texts of one language.

    Returns:
        One row per (text, arm), with the columns of `tables.ON_TEXTS`; `effect` is the change of
        the text's log-probability, nats per token that is asked, negative where it became less
        probable. In an encoder the asked tokens are the answer's, each at its own mask.
    """
    encoder, mask_id = arms.lm.architecture.encoder, arms.lm.mask_id
    queries = [text.query(encoder=encoder) for text in texts]
    seen = [text.as_asked(mask_id) for text in texts]
    tables = [
        rows.assign(
            language=language,
            text=text.name,
            n_tokens=text.n_asked,
            effect=(values[1:, 0] - values[0, 0]) / text.n_asked,
        )
        for text, (values, rows) in zip(texts, arms.ask(seen, queries), strict=True)
    ]
    return typed(tables, ON_TEXTS)


def measure_answers(arms: Arms, language: str, facts: pd.DataFrame) -> pd.DataFrame:
    """Measure every arm on the answers of some facts of one language.

    Args:
        arms: The arms.
        language: The prompts' language.
        facts: Rows of its recall table, with `labels`: the answer's label in this language, then
            those that other languages have, where they differ.

    Returns:
        One row per (fact, arm), with the columns of `tables.ON_ANSWERS`: `effect` is the change of
        the answer's log-probability, nats; `own_before` and `own_after` say whether the most
        probable label is this language's own.
    """
    rows, tokens, lm = store.records(facts), CandidateTokens(arms.lm), arms.lm
    queries = [_query(lm, tokens, row) for row in rows]
    asked = arms.ask([_prompt(lm, q) for q in queries], queries)
    tables = []
    for row, q, (values, about) in zip(rows, queries, asked, strict=True):
        encoder = lm.architecture.encoder
        own = (values if encoder else without_continuations(values, q.answers)).argmax(1) == 0
        known = {"fact": row["fact"], "relation": row["relation"], "n_labels": len(q.answers)}
        effect = values[1:, 0] - values[0, 0]
        flags = {"own_before": own[0], "own_after": own[1:]}
        tables.append(about.assign(language=language, effect=effect, **known, **flags))
    return typed(tables, ON_ANSWERS)


def _query(lm: LanguageModel, tokens: CandidateTokens, row: Mapping[str, Any]) -> Query:
    return query(lm, row["prompt"], tokens.answers(row["prompt"], row["separator"], row["labels"]))


def _prompt(lm: LanguageModel, asked: Query) -> Text:
    """Return a query's prompt as the text over which a push is taken; an encoder's with masks."""
    before, behind = asked.prompt
    masks = [int(lm.mask_id or 0)] * len(asked.answers[0]) if lm.architecture.encoder else []
    first, _ = around(lm.tokenizer)
    ids = (*before, *masks, *behind)
    return Text("", ids, len(first), 0, (len(ids), len(ids)))
