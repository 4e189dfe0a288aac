"""The schema of every section of params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuron_atlas.activations.settings import Recording
from neuron_atlas.arms.settings import Interference
from neuron_atlas.attribution_methods.settings import MethodComparison
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.cards.settings import CardPlan
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.findings.settings import Effects
from neuron_atlas.interventions.settings import Selection
from neuron_atlas.knowledge_findings.settings import Conclusions
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.language_specific.settings import LanguageSpecific
from neuron_atlas.model.settings import ModelChoice
from neuron_atlas.pipeline import params
from neuron_atlas.pipeline.params import PARAMS, Section
from neuron_atlas.recall.settings import Asking
from neuron_atlas.relation_neurons.settings import SetPlan
from neuron_atlas.report.settings import PageSettings
from neuron_atlas.scoring.settings import Scoring

SECTIONS: Mapping[str, type[Section]] = {
    "model": ModelChoice,
    "facts": Facts,
    "recall": Asking,
    "activations": Recording,
    "relation_neurons": SetPlan,
    "scoring": Scoring,
    "interference": Interference,
    "effects": Effects,
    "attributions": AttributionPlan,
    "attribution_methods": MethodComparison,
    "selection": Selection,
    "language_neurons": SharingRule,
    "language_specific": LanguageSpecific,
    "degenerate_neurons": DegenerateNeurons,
    "editing": EditingPlan,
    "knowledge": Conclusions,
    "cards": CardPlan,
    "report": PageSettings,
}


def load(path: Path = PARAMS) -> dict[str, dict[str, Any]]:
    """Return the values of every section, each of which fits its schema.

    Raises:
        ValueError: a section is unknown, absent, or does not fit its schema.
    """
    names = {"languages", "seed", *SECTIONS}
    unknown = [name for name in params.read_yaml(path) if name not in names]
    if unknown:
        raise ValueError(f"{path}: unknown sections {unknown}; there are {sorted(names)}")
    return {name: params.load(name, schema, path).model_dump() for name, schema in SECTIONS.items()}
