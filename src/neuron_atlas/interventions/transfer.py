"""What every language's relation neurons do to every language's held-out facts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from neuron_atlas.interventions.arms import Arm
from neuron_atlas.interventions.interference import LanguageWork, measure_held_out
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store


def measure_languages(
    lm: LanguageModel,
    arms: Sequence[Arm],
    recalls: Mapping[str, Path],
    how: Interference,
    works: Mapping[str, LanguageWork],
) -> pd.DataFrame:
    """Ask every language's held-out facts with each arm's neurons switched off.

    Args:
        lm: The model.
        arms: As `arms.transfer_arms` lists them.
        recalls: Each language's recall table.
        how: As in `interference`.
        works: Each language's recorded values, and how its measurements are resumed.

    Returns:
        The rows of `interference.measure_arms`, with `language`, that of the facts.
    """

    def measured() -> Iterator[pd.DataFrame]:
        for language, path in recalls.items():
            table = measure_held_out(lm, arms, store.read_table(path), how, works[language])
            yield table.assign(language=language)

    return pd.concat(measured(), ignore_index=True)
