"""Slow, obvious ways to what the engine computes: one full forward pass per answer and set."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation
from neuron_atlas.scoring import trees
from neuron_atlas.scoring.trees import Query

PROMPTS = ["a b c", "d e f g h i", "j"]
ANSWERS = ["k", "k l", "k l m", "k m", "n o p"]


def queries(lm: LanguageModel) -> list[Query]:
    return [trees.query(lm, p, [continuation(lm, p, f" {a}") for a in ANSWERS]) for p in PROMPTS]


@torch.no_grad()
def plain(lm: LanguageModel, query: Query, answer: tuple[int, ...]) -> float:
    """Return an answer's log-probability, nats, by one whole forward pass through the head."""
    before, after = query.prompt
    if lm.architecture.encoder:
        ids = [*before, *[lm.mask_id] * len(answer), *after]
        first = len(before)
    else:
        ids = [*before, *answer]
        first = len(before) - 1
    logp = lm.network(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logp[first + j, token]) for j, token in enumerate(answer))


@contextmanager
def changed(module: nn.Module, change: Callable[[Tensor], None]) -> Iterator[None]:
    """The obvious intervention, apart from the library's: one pre-hook that changes a copy."""

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0].clone()
        change(x)
        return (x, *args[1:])

    handle = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def overwritten(
    module: nn.Module, neurons: list[int], value: Tensor, positions: slice
) -> AbstractContextManager[None]:
    """Put values into one set of neurons at some positions."""

    def change(x: Tensor) -> None:
        x[:, positions, neurons] = value[neurons]

    return changed(module, change)


def letters(n: int) -> pd.DataFrame:
    """Prompts of letters in the layout of the recall table, with one answer of two tokens."""
    rng = np.random.default_rng(0)
    letters = [" ".join(rng.choice(list("abcdefgh"), size=4)) for _ in range(n)]
    return pd.DataFrame(
        {
            "language": "xx",
            "measured": [f"f{i}" for i in range(n)],
            "relation": "r",
            "template": 0,
            "prompt": letters,
            "separator": " ",
            "objects": [["o"]] * n,
            "candidates": [["o"]] * n,
            "candidate_labels": [["k l"]] * n,
            "log_probabilities": [[0.0]] * n,
        }
    )
