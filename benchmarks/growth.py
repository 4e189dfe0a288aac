"""Measure how time grows with facts, languages, layers, neurons and relations."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers as tr

from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.quadrature import gauss_legendre
from neuron_atlas.detectors import average_precision
from neuron_atlas.language_neurons import shared
from shapes import shape
from timing import rounded

Make = Callable[[int], Callable[[], object]]
SMALL: dict[str, Any] = {
    **{"vocab_size": 512, "bos_token_id": 1, "eos_token_id": 2},
    **{"n_embd": 64, "n_layer": 4, "n_head": 4, "n_inner": 256},
}
NODES, PROMPTS_EACH, NEURONS_EACH = 4, 50, 30


@dataclass(frozen=True)
class Axis:
    """What grows, its sizes, and what is run at each size.

    Attributes:
        name: What grows.
        what: What is run.
        sizes: Increasing.
        make: Size to a prepared run.
    """

    name: str
    what: str
    sizes: Sequence[int]
    make: Make


def _attribution(n_facts: int, **config: int) -> Callable[[], object]:
    asked = shape("gpt2", config=tr.GPT2Config(**SMALL | config), n_prompts=n_facts)
    return lambda: list(
        gradients.integrated_gradients(
            *(asked.lm, asked.questions),
            baseline="zero",
            rule=gauss_legendre(NODES),
            target="probability",
        )
    )


def _precision(n_relations: int, n_neurons: int) -> Callable[[], object]:
    n_prompts = PROMPTS_EACH * n_relations
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(n_prompts, n_neurons)))
    groups = torch.arange(n_prompts) % n_relations == torch.arange(n_relations)[:, None]
    return lambda: average_precision.average_precision(values.float(), groups)


def _languages(n_languages: int, n_facts: int = 200, n_deals: int = 20) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    sets = {
        str(code): {str(f): rng.choice(40_000, NEURONS_EACH, replace=False) for f in range(n_facts)}
        for code in range(n_languages)
    }
    found = shared.members(sets, {str(f): "relation" for f in range(n_facts)})
    wanted = shared.needed(found, 2)

    def run() -> object:
        dealt = shared.mismatched(found, np.random.default_rng(0), n_deals=n_deals)
        return [shared.tally(one, wanted, n_languages) for one in dealt]

    return run


AXES = (
    Axis("facts", "attribution, 4 layers", (128, 256, 512, 1024), _attribution),
    Axis("layers", "attribution, 16 facts", (4, 8, 16, 32), lambda n: _attribution(16, n_layer=n)),
    Axis(
        "neurons",
        "attribution, 16 facts, neurons of a layer",
        (512, 1024, 2048, 4096),
        lambda n: _attribution(16, n_inner=n),
    ),
    Axis(
        "neurons",
        "average precision, 12 relations, 600 prompts",
        (1000, 2000, 4000, 8000),
        lambda n: _precision(12, n),
    ),
    Axis(
        "relations",
        f"average precision, 500 neurons, {PROMPTS_EACH} prompts a relation",
        (8, 16, 32, 64),
        lambda n: _precision(n, 500),
    ),
    Axis("languages", "mismatched sets of 200 facts, 20 deals", (4, 8, 16, 32), _languages),
)


def time_axis(axis: Axis, *, rounds: int) -> dict[str, Any]:
    """Time the sizes of an axis in turn and fit the exponent; of several rounds one warms up."""
    runs = {size: axis.make(size) for size in axis.sizes}
    seconds: dict[int, list[float]] = {size: [] for size in runs}
    for _ in range(rounds):
        for size, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[size].append(time.perf_counter() - start)
    medians = [statistics.median(seconds[size][rounds > 1 :]) for size in axis.sizes]
    return {
        "axis": axis.name,
        "work": axis.what,
        "sizes": list(axis.sizes),
        "seconds": [rounded(s) for s in medians],
        "exponent": rounded(exponent(axis.sizes, medians), 3),
    }


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return b of the least-squares fit seconds = a * size^b, in logarithms.

    Raises:
        ValueError: there are fewer than two sizes, or not as many seconds as sizes.
    """
    if len(sizes) < 2 or len(sizes) != len(seconds):
        raise ValueError(f"expected a time for each of two sizes or more, got {sizes}, {seconds}")
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)
