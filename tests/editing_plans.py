"""Small parameters of editing experiments."""

from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model_edits.settings import Baselines, Descent

DESCENT = Descent(steps=12, rate=0.4, margin=3.0, max_norm=3.0)
BASELINES = Baselines(layers=2, n_facts=2, max_change=0.05, max_norm=4.0, n_tokens=200, ridge=0.01)
HOW = EditingPlan(
    n_sources=2,
    max_facts=2,
    neurons=2,
    n_unrelated=2,
    n_draws=3,
    descent=DESCENT,
    baselines=BASELINES,
)
RULE = SharingRule(k=30, share=0.6, min_languages=3, n_permutations=19, n_draws=1)
PLAN = AttributionPlan(
    **{"baseline": "occlusion", "rule": "radau", "steps": 3, "tolerance": 0.01, "screen": 0.002},
    **{"zero_rule": "graded", "zero_steps": 2, "target": "candidates", "max_facts": None},
    **{"keep": 12, "floor": 0.5},
)
