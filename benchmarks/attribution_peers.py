"""Run integrated gradients of the same quantity by knowledge-neurons and by captum.

The quantity is the hidden unit at the answer position, the input of the down-projection, from a
zero baseline. knowledge-neurons reads it in BERT, but in GPT-2 it reads the values before the
activation function; there its attribute for the module to patch is set to the activation function.
captum gets a function of the hidden units, which a hook puts in.
"""

import numpy as np
import torch
from torch import Tensor

from defaults import by_default
from neuron_atlas.attributions.quadrature import Quadrature, midpoint
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from shapes import Shape
from timing import Run
from untouched import untouched

STEPS = 20
# knowledge-neurons averages the gradients at `steps` points, among them both ends.
INCLUSIVE = Quadrature(tuple(np.linspace(0, 1, STEPS).tolist()), (1 / STEPS,) * STEPS)
MIDPOINT = midpoint(STEPS)  # captum's `riemann_middle`


def knowledge_neurons(shape: Shape, *, our_attention: bool = False) -> Run:
    """Return the run of knowledge-neurons, all layers, in its own batches of 10 steps."""
    from knowledge_neurons import KnowledgeNeurons

    lm = shape.lm if our_attention else by_default(shape.lm)
    kind = "bert" if lm.architecture.encoder else "gpt"
    tool = KnowledgeNeurons(lm.network, shape.peer_tokenizer(), kind, device="cpu")
    if not lm.architecture.encoder:
        tool.input_ff_attr = "mlp.act"

    def run() -> np.ndarray:
        with untouched(lm.network):
            found = tool.get_scores(shape.peer_prompt, shape.answer[0], steps=STEPS, pbar=False)
        return np.asarray(found.detach().numpy())

    return run


def captum(shape: Shape) -> Run:
    """Return the run of captum's IntegratedGradients, all layers, one batch per layer."""
    from captum.attr import IntegratedGradients

    lm = by_default(shape.lm)
    ids = torch.tensor([shape.peer_tokenizer()(shape.peer_prompt)["input_ids"]])
    at = int((ids[0] == lm.mask_id).nonzero()) if lm.mask_id is not None else ids.shape[1] - 1

    def layer(number: int, values: Tensor) -> Tensor:
        def target(entering: Tensor) -> Tensor:
            return _probability(lm, ids, at, shape.answer[1], number, entering)

        tool = IntegratedGradients(target)
        found: Tensor = tool.attribute(
            values, torch.zeros_like(values), n_steps=STEPS, method="riemann_middle"
        )
        return found[0]

    def run() -> np.ndarray:
        clean = _hidden_units(lm, ids, at)
        found = torch.stack([layer(i, v) for i, v in enumerate(clean)])
        return np.asarray(found.detach().numpy())

    return run


@torch.no_grad()
def _hidden_units(lm: LanguageModel, ids: Tensor, at: int) -> list[Tensor]:
    """Return each layer's hidden units at a position."""
    with hooks.record(site_modules(lm, "hidden"), lambda x: x[:, at]) as found:
        lm.network(input_ids=ids)
    return [found[layer] for layer in range(lm.n_layers)]


def _probability(
    lm: LanguageModel, ids: Tensor, at: int, token: int, layer: int, values: Tensor
) -> Tensor:
    """Return the answer's probability per row of `values`, which replace a layer's hidden units."""

    def replace(x: Tensor) -> Tensor:
        changed = x.clone()
        changed[:, at] = values
        return changed

    with hooks.edit(site_modules(lm, "hidden"), {layer: replace}):
        logits = lm.network(input_ids=ids.expand(len(values), -1)).logits[:, at]
    result: Tensor = logits.softmax(-1)[:, token]
    return result
