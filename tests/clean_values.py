"""Neuron values of a few prompts without intervention, and values to set neurons to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from neuron_atlas.activations import extraction
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.model.language_model import LanguageModel

PROMPTS = ("a b c", "d e f g h i", "j")


def clean(lm: LanguageModel, prompts: Sequence[str] = PROMPTS) -> CleanValues:
    """Return the values at the answer position, in the order of the prompts."""
    readings = [extraction.reading(lm, p, (0, 1), "answer") for p in prompts]
    values = torch.empty(len(prompts), lm.n_layers, lm.n_neurons)
    for places, batch in extraction.extract(lm, readings):
        values[places] = batch
    return CleanValues(Writing(lm, "hidden"), values)


def table(lm: LanguageModel, seed: int = 1) -> Tensor:
    """Return one table of values to set neurons to."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, lm.n_layers, lm.n_neurons, generator=generator)
