"""What an editing experiment is given: outputs of earlier stages, the model, and parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuron_atlas.attributions.settings import Target
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import META
from neuron_atlas.pipeline import store

NEW_OBJECTS = "new_objects"  # of a language's report on its facts


@dataclass(frozen=True)
class Inputs:
    """Outputs of earlier stages, by language.

    Attributes:
        reports: Reports on the facts, which may give new objects.
        recall: Recall tables.
        attributions: Folders of stored scores.
        sizes: Folders of activation sizes, which random neurons match.
        specific: The folder of language-specific neurons, of all languages.
    """

    reports: Mapping[str, Path]
    recall: Mapping[str, Path]
    attributions: Mapping[str, Path]
    sizes: Mapping[str, Path]
    specific: Path

    def target(self) -> Target:
        """Return what the stored scores explain."""
        first = next(iter(self.attributions.values()))
        target: Target = store.read_json(first / META)["target"]
        return target

    def new_objects(self) -> dict[str, str]:
        """Return the new objects that the source of the facts gives, by fact; often none."""
        return {
            str(fact): str(new)
            for path in self.reports.values()
            for fact, new in store.read_json(path).get(NEW_OBJECTS, {}).items()
        }


@dataclass(frozen=True)
class Experiment:
    """What every part of one experiment needs.

    Attributes:
        lm: The model.
        how: The section `editing`.
        rule: The section `language_neurons`.
        seed: The seed.
        tolerance: As in `log_probability.ask`.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """

    lm: LanguageModel
    how: EditingPlan
    rule: SharingRule
    seed: int
    tolerance: float
    key: str

    def part(self, name: str) -> str:
        """Return the key of a part of the work."""
        return f"{name}-{self.key}"
