"""How neurons are switched off in tests of small models: with few facts and few controls."""

from neuron_atlas.arms.settings import Interference

FEW = Interference(
    value="mean",
    positions="answer",
    max_facts=2,
    max_seen=0,
    n_draws=2,
    n_across_draws=2,
    n_dose_draws=2,
    doses=[0.5],
    pushes=[],
    n_others=2,
)
