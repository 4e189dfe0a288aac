"""The planted model with units that a language's words need: its own, and nobody else's.

In every layer a unit reads the language (`planted.py`). Here the one of layer 1 also adds `BOOST`
times its value to the language's coordinate, and the head gives all words of a language, and to the
colon the sum over languages, the logit of that coordinate: without the unit each word of the
language becomes less likely, and no other language changes, because there the unit is 0.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

import planted
import planted_scores
from neuron_atlas.language_specific.settings import OWN_TEXTS, LanguageSpecific
from neuron_atlas.model.language_model import LanguageModel

BOOST = 3.0
SHARE = 6.1 / (planted.N_LAYERS * planted.N_NEURONS)  # two units of each of three languages
HOW = LanguageSpecific(
    texts=Path(OWN_TEXTS),
    max_tokens=200,
    min_tokens=100,
    percentile=0.95,
    share=SHARE,
    n_texts=6,
    n_facts=4,
    n_draws=5,
)


def model(more: Mapping[str, Mapping[str, float]] | None = None) -> LanguageModel:
    """Return the model.

    Args:
        more: By unit, what it writes besides.
    """
    own = {f"language:{c}:1": {f"language:{c}": BOOST} for c in planted.LANGUAGES}
    lm = planted.model({**own, **(more or {})})
    head, words = lm.network.get_output_embeddings().weight, planted.vocabulary()
    for code in planted.LANGUAGES:
        place = planted.PLACE[f"language:{code}"]
        for word, row in words.items():
            if word == ":" or word.startswith(f"{code}_"):
                head[row, place] = 1
    return lm


def recalled(lm: LanguageModel) -> dict[str, pd.DataFrame]:
    """Return the recall tables of all languages."""
    return {code: planted_scores.recalled(lm, code) for code in planted.LANGUAGES}


def units(code: str) -> set[int]:
    """Return a language's units as flat indices."""
    return set(planted_scores.unit(f"language:{code}:0", f"language:{code}:1").tolist())
