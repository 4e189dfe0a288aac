"""The typed candidates of a prompt: their tokens, and the one that is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text, continuation
from neuron_atlas.pipeline.slots import OBJECT


def asked_for(row: Mapping[str, Any]) -> int:
    """Return the index of the candidate that is asked for: the most probable correct answer."""
    right = np.isin(row["candidates"], row["objects"])
    values = np.asarray(row["log_probabilities"], dtype=float)
    return int(np.where(right, values, -np.inf).argmax())


class CandidateTokens:
    """Tokenised candidates of prompts; a recurring one is tokenised once."""

    def __init__(self, lm: LanguageModel) -> None:
        self._lm = lm
        self._known: dict[tuple[str, str], Text] = {}

    def answers(self, prompt: str, separator: str, labels: Sequence[str]) -> list[Text]:
        """Return the token ids with which each label continues `prompt`."""
        return [self._one(prompt, separator + label) for label in labels]

    def candidate(self, row: Mapping[str, Any], place: int) -> Text:
        """Return the token ids with which one of a row's candidates continues its prompt."""
        return self._one(row["prompt"], row["separator"] + row["candidate_labels"][place])

    def _one(self, prompt: str, text: str) -> Text:
        key = (prompt.partition(OBJECT)[0][-12:], text)
        if key not in self._known:
            self._known[key] = continuation(self._lm, prompt, text)
        return self._known[key]
