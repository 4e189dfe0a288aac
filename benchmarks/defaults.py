"""Undo our own settings of a model, so that a peer runs it as its users do."""

import copy
from dataclasses import replace

from neuron_atlas.model.language_model import LanguageModel


def by_default(lm: LanguageModel) -> LanguageModel:
    """Return the model with the attention that transformers gives it; the weights are shared."""
    tensors = [*lm.network.parameters(), *lm.network.buffers()]
    network = copy.deepcopy(lm.network, {id(tensor): tensor for tensor in tensors})
    network.set_attn_implementation("sdpa")
    return replace(lm, network=network)
