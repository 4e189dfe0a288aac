"""The texts, facts and arms of each language, made when they are first measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from neuron_atlas.arms.push import Writing
from neuron_atlas.language_specific import set_arms, tables
from neuron_atlas.language_specific.activity import Activity
from neuron_atlas.language_specific.asked_facts import asked_facts
from neuron_atlas.language_specific.measuring import Arms, measure_answers, measure_texts
from neuron_atlas.language_specific.selection import Selected
from neuron_atlas.language_specific.set_arms import Drawing
from neuron_atlas.language_specific.settings import LanguageSpecific
from neuron_atlas.language_specific.texts import Sample
from neuron_atlas.model.language_model import LanguageModel


@dataclass
class LanguageWork:
    """Measures each language's texts and facts.

    Attributes:
        lm: The model.
        recalled: Recall tables that have rows, by language.
        samples: The languages' texts.
        found: The languages' neurons.
        counted: The languages' activity.
        how: How much is measured.
        seed: Of the draws, and of the choice of facts.
    """

    lm: LanguageModel
    recalled: Mapping[str, pd.DataFrame]
    samples: Mapping[str, Sample]
    found: Selected
    counted: Mapping[str, Activity]
    how: LanguageSpecific
    seed: int
    _facts: dict[str, pd.DataFrame] = field(default_factory=dict)
    _arms: dict[tuple[str, str], Arms] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._writing = Writing(self.lm, "hidden")

    def n_texts(self, language: str) -> int:
        """Return how many texts of a language are measured."""
        return len(self.samples[language].testing)

    def n_facts(self, language: str) -> int:
        """Return how many facts of a language are asked."""
        return len(self._asked(language))

    def measure_texts(self, part: pd.DataFrame) -> pd.DataFrame:
        """Measure some texts of one language, given as `language` and `place`."""
        if part.empty:
            return tables.typed([], tables.ON_TEXTS)
        language = str(part["language"].iloc[0])
        own = self.samples[language].testing
        some = [own[place] for place in part["place"].tolist()]
        return measure_texts(self._ready(language, "texts"), language, some)

    def measure_facts(self, part: pd.DataFrame) -> pd.DataFrame:
        """Ask some facts of one language, given as `language` and `place`."""
        if part.empty:
            return tables.typed([], tables.ON_ANSWERS)
        language = str(part["language"].iloc[0])
        some = self._asked(language).iloc[part["place"].tolist()]
        return measure_answers(self._ready(language, "facts"), language, some)

    def _asked(self, language: str) -> pd.DataFrame:
        if language not in self.recalled:
            return pd.DataFrame()
        if language not in self._facts:
            n, seed = self.how.n_facts, self.seed
            self._facts[language] = asked_facts(self.recalled, language, n=n, seed=seed)
        return self._facts[language]

    def _ready(self, language: str, what: str) -> Arms:
        """Return a language's arms; those of one language at a time are kept."""
        if (language, what) not in self._arms:
            plan = set_arms.on_texts if what == "texts" else set_arms.on_answers
            planned = plan(language, self.found.sets, self._drawing(language))
            self._arms = {(language, what): Arms(self._writing, planned)}
        return self._arms[language, what]

    def _drawing(self, language: str) -> Drawing:
        lengths = self._writing.lengths.double().numpy()
        strength = self.counted[language].size * lengths
        return Drawing(strength, self.found.every, self.how.n_draws, self.seed)
