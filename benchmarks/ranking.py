"""Benchmark the average precision of many neurons as detectors of relations."""

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from neuron_atlas.detectors import average_precision
from timing import Benchmark, Comparison, Contender, Run

N_RELATIONS, N_PROMPTS, N_NEURONS = 12, 600, 2000
SAMPLE = 100  # neurons that scikit-learn scores; each takes as long, and the time is scaled up


def benchmark() -> Benchmark:
    """Compare on 12 relations, each against the others; many values, in bfloat16, are equal."""
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(N_PROMPTS, N_NEURONS)))
    relation = np.arange(N_PROMPTS) % N_RELATIONS
    groups = relation == np.arange(N_RELATIONS)[:, None]
    contenders = {
        "ours": Contender(lambda: _ours(values.bfloat16(), groups)),
        "scikit-learn": Contender(
            lambda: _theirs(values.bfloat16().double().numpy(), groups), share=SAMPLE / N_NEURONS
        ),
    }
    rows = [Comparison("average-precision", "scikit-learn", "ours", "scikit-learn")]
    what = (
        f"{N_RELATIONS} relations, {N_PROMPTS} prompts, {N_NEURONS} neurons; the peer's time is "
        f"that of {SAMPLE} neurons, scaled up"
    )
    return Benchmark(what, contenders, rows, memory=["ours", "scikit-learn"])


def _ours(values: torch.Tensor, groups: np.ndarray) -> Run:
    return lambda: np.asarray(
        average_precision.average_precision(values, torch.from_numpy(groups)).numpy()
    )


def _theirs(values: np.ndarray, groups: np.ndarray) -> Run:
    def run() -> np.ndarray:
        found = np.full((len(groups), values.shape[1]), np.nan)
        for group, own in zip(groups, found, strict=True):
            own[:SAMPLE] = [average_precision_score(group, values[:, n]) for n in range(SAMPLE)]
        return found

    return run
