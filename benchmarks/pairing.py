"""Benchmark the loss of answers when single neurons and pairs of them are suppressed."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from defaults import by_default
from neuron_atlas.degenerate_neurons.degeneracy import Members
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets, up_to_pairs
from neuron_atlas.model import hooks, language_model
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import continuation, encode
from timing import Benchmark, Comparison, Contender, Run, absolute

CAPITALS = {
    "France": "Paris",
    "Japan": "Tokyo",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Russia": "Moscow",
    "Spain": "Madrid",
    "Egypt": "Cairo",
    "Cuba": "Havana",
}
PROMPT = "Here is a fact that everyone learns at school: the capital city of {} is called"
CANDIDATES, BATCH = 6, 32  # neurons of a fact, combined in pairs; prompts of a peer's batch


def benchmark(folder: Path) -> Benchmark:
    """Compare our engine with one full forward pass per set, on singles and pairs of 6 neurons."""
    get = functools.cache(
        functools.partial(language_model.load, folder, device="cpu", dtype=torch.float32)
    )
    contenders = {
        "ours": Contender(lambda: _ours(get()), ours=True),
        "all logits": Contender(lambda: _theirs(get())),
        "last logits": Contender(lambda: _theirs(get(), logits_to_keep=1)),
    }
    rows = [
        Comparison("pair-ablation", "transformers", "ours", "all logits", gap=absolute),
        Comparison(
            "pair-ablation-last-logits", "transformers", "ours", "last logits", gap=absolute
        ),
    ]
    n_sets = len(up_to_pairs(range(CANDIDATES)))
    what = (
        f"{n_sets} sets of one or two neurons and none for each of {len(CAPITALS)} prompts of "
        "about 16 tokens, float32"
    )
    return Benchmark(what, contenders, rows, memory=list(contenders))


def _sets(lm: LanguageModel) -> list[list[Members]]:
    """Return the sets of each prompt; their neurons are drawn from all layers."""
    rng, total = np.random.default_rng(0), lm.n_layers * lm.n_neurons
    drawn = [rng.choice(total, CANDIDATES, replace=False).tolist() for _ in CAPITALS]
    return [up_to_pairs(some) for some in drawn]


def _ours(lm: LanguageModel) -> Run:
    """Return the run of our engine, as the search for degenerate neurons uses it."""
    recalled = pd.DataFrame(
        {
            "fact": list(CAPITALS),
            "template": 0,
            "prompt": [PROMPT.format(country) for country in CAPITALS],
            "separator": " ",
            "candidate_labels": [[city] for city in CAPITALS.values()],
            "candidates": [[city] for city in CAPITALS.values()],
            "objects": [[city] for city in CAPITALS.values()],
            "log_probabilities": [[0.0] for _ in CAPITALS],
        }
    )
    asked = FactPrompts(lm, recalled)
    requests = [PromptSets(fact, 0, own) for fact, own in zip(CAPITALS, _sets(lm), strict=True)]

    def run() -> np.ndarray:
        found = list(asked.suppress(requests))
        return np.array([[f.clean, *(f.clean - d for d in f.drops.values())] for f in found])

    return run


def _theirs(lm: LanguageModel, **how: Any) -> Run:
    """Return the run of one full forward pass per set; `how` goes to the model.

    Raises:
        ValueError: an answer has several tokens, for which one pass is not enough.
    """
    lm = by_default(lm)
    prompts = {country: PROMPT.format(country) for country in CAPITALS}
    answers = [continuation(lm, prompts[c], f" {city}") for c, city in CAPITALS.items()]
    if any(len(answer) > 1 for answer in answers):
        raise ValueError(f"expected answers of one token, got {answers}")
    ids = [torch.tensor(encode(lm, prompt).before) for prompt in prompts.values()]
    sets: list[list[Members]] = [[(), *own] for own in _sets(lm)]

    @torch.no_grad()
    def run() -> np.ndarray:
        return np.array(
            [
                _one_prompt(lm, one, answer[0], own, how)
                for one, answer, own in zip(ids, answers, sets, strict=True)
            ]
        )

    return run


def _one_prompt(
    lm: LanguageModel, ids: Tensor, token: int, sets: Sequence[Members], how: dict[str, Any]
) -> list[float]:
    found: list[float] = []
    for start in range(0, len(sets), BATCH):
        part = sets[start : start + BATCH]
        changes = {layer: _zeros(layer, lm.n_neurons, part) for layer in range(lm.n_layers)}
        with hooks.edit(site_modules(lm, "hidden"), changes):
            logits = lm.network(ids.expand(len(part), -1), **how).logits[:, -1]
        found += logits.log_softmax(-1)[:, token].tolist()
    return found


def _zeros(layer: int, width: int, sets: Sequence[Members]) -> hooks.Change:
    """Return the change that sets each row's own neurons of a layer to 0 at the last position."""
    cells = [(row, n % width) for row, s in enumerate(sets) for n in s if n // width == layer]
    rows, neurons = [row for row, _ in cells], [neuron for _, neuron in cells]

    def change(x: Tensor) -> Tensor:
        changed = x.clone()
        changed[rows, -1, neurons] = 0
        return changed

    return change
