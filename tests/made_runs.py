"""Runs as they are read, made up."""

from typing import Any

import numpy as np

from neuron_atlas.comparison.choice import Choice
from neuron_atlas.comparison.ownership import Ownership
from neuron_atlas.comparison.runs import Finding, Run
from neuron_atlas.comparison.stored_sets import StoredSets
from neuron_atlas.statistics.estimates import Estimate

STOPPED = Ownership(behind={"effects": "it read another data/interference"})


def finding(mean: float, half: float = 0.1, word: str = "undecided", mde: float = 0.2) -> Finding:
    return Finding(word, Estimate(mean, mean - half, mean + half), mde)


def sets(*neurons: int, model: str = "m", n_neurons: int = 100) -> StoredSets:
    found = np.array(neurons, dtype=np.int64)
    return StoredSets({("pooled", "capital"): found, ("en", "capital"): found}, n_neurons, model)


def made_run(name: str, rev: str = "0" * 40, **values: Any) -> Run:
    """Return a run with a finding on two claims, one of which nothing was measured for."""
    given: dict[str, Any] = {
        "parameters": {"relation_neurons.k": 100, "languages.en": {}},
        "inputs": {"src/neuron_atlas/report": "abcdefg"},
        "findings": {"interference": finding(0.3), "cumulativity": Finding("untestable")},
        "known": {"en": (3, 4)},
        "sets": sets(1, 2, 3),
    }
    return Run(Choice(name, rev), **(given | values))
