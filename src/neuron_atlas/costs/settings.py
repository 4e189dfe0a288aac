"""The sections of params.yaml that decide how much a run computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from neuron_atlas.arms.settings import Interference
from neuron_atlas.attribution_methods.settings import MethodComparison
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.cards.settings import CardPlan
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.interventions.settings import Selection
from neuron_atlas.language_specific.settings import LanguageSpecific
from neuron_atlas.pipeline import params
from neuron_atlas.recall.settings import Asking
from neuron_atlas.relation_neurons.settings import SetPlan


@dataclass(frozen=True)
class Settings:
    """The sections, each as its stage reads it."""

    recall: Asking
    relation_neurons: SetPlan
    interference: Interference
    attributions: AttributionPlan
    attribution_methods: MethodComparison
    selection: Selection
    language_specific: LanguageSpecific
    degenerate_neurons: DegenerateNeurons
    editing: EditingPlan
    cards: CardPlan


SECTIONS = tuple(Settings.__dataclass_fields__)


def of_sections(values: Mapping[str, Any]) -> Settings:
    """Return the sections of a params.yaml.

    Raises:
        ValueError: a section is missing or does not fit its schema; the message names the key.
    """
    missing = [name for name in SECTIONS if name not in values]
    if missing:
        raise ValueError(f"params.yaml has no section {missing[0]!r}; it has {sorted(values)}")
    kinds: dict[str, Any] = get_type_hints(Settings)
    return Settings(**{name: params.checked(name, kinds[name], values[name]) for name in SECTIONS})
