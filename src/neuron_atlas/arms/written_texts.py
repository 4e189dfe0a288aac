"""What a decoder writes by itself under some arms: strict match, prefix match, format failures."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from neuron_atlas.arms.measuring import Question
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text, encode
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.generation import greedy
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.text_match import PREFIX_TOKENS, TextMatch, is_decided, line, match

MATCHES = ("exact", "prefix", "begins_right", "format_failure")
TEXTS = dict.fromkeys(
    (f"{name}_{when}" for name in MATCHES for when in ("before", "after")), "float32"
)


def write(
    intervention: Intervention,
    rows: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    n_arms: Iterable[int],
) -> list[pd.DataFrame]:
    """Write at most 8 tokens after each prompt, without intervention and under its arms.

    Args:
        intervention: The arms, those of the first prompt first. The model is a decoder.
        rows: Of each question, the recall table's row: its candidates' labels.
        questions: The questions.
        n_arms: How many arms each question has.

    Returns:
        For each question one row per arm with the columns of `TEXTS`, 1 for yes and 0 for no; see
        `text_match.TextMatch`.
    """
    lm, counter = intervention.lm, count()
    arms = [list(islice(counter, n)) for n in n_arms]
    labels = [list(row["candidate_labels"]) for row in rows]

    def enough(place: int, tokens: Text) -> bool:
        return len(tokens) >= PREFIX_TOKENS and is_decided(line(lm, tokens), labels[place])

    texts = greedy(
        lm,
        [encode(lm, question.prompt) for question in questions],
        arms=[(UNEDITED, *own) for own in arms],
        intervene=intervention.opened,
        everywhere=intervention.everywhere,
        enough=enough,
    )
    return [
        _table(lm, found, names, question.right)
        for found, names, question in zip(texts, labels, questions, strict=True)
    ]


def _table(
    lm: LanguageModel,
    texts: Sequence[Text],
    labels: Sequence[str],
    right: Bool[np.ndarray, " candidate"],
) -> pd.DataFrame:
    before, *after = (match(lm, text, labels, right) for text in texts)
    return pd.DataFrame([_row(before, one) for one in after], columns=list(TEXTS)).astype(TEXTS)


def _row(before: TextMatch, after: TextMatch) -> dict[str, float]:
    both = {"before": before._asdict(), "after": after._asdict()}
    return {f"{name}_{when}": float(both[when][name]) for name in MATCHES for when in both}
