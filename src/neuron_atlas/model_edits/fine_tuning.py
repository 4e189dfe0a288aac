"""FT-L: fine-tune one layer's down-projection, with a bound on the change of every weight."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.trace import record_trace
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.descent import FitTask, loss_and_slope
from neuron_atlas.model_edits.fit_prompts import FitPrompts
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import columns, layer_neurons


def fine_tune(
    lm: LanguageModel, prompts: FitPrompts, layer: int, how: Descent, *, max_change: float
) -> Float[Tensor, "fact neuron d_model"]:
    """Return, for each fact, what to add to the layer's value vectors: all of its matrix.

    Zhu et al. 2020 (arXiv 2012.00363, section 3: minimise the loss of the new facts while no weight
    changes by more than a bound), in one layer as Meng et al. 2022 (arXiv 2202.05262, appendix E.1,
    FT+L). Deviations: the loss is that of the other arms (`descent.search`), which is about the two
    answers alone; the change acts at the answer position while it is fitted, as theirs does; and a
    step goes along the sign of the slope, the steepest direction within such a bound (Boyd &
    Vandenberghe 2004, section 9.4.2), with the length of theirs, where Meng et al. take Adam. So it
    has as many steps as they do, and is no larger than needed.

    Args:
        lm: The model, frozen.
        prompts: What the facts are fitted to.
        layer: Whose down-projection changes.
        how: Steps and margin; `rate` is relative to the bound, `max_norm` is not used.
        max_change: The bound, relative to the root mean square of the layer's weights.

    Returns:
        float32, no entry beyond the bound.
    """
    n_facts, flat = int(prompts.fact.max()) + 1, torch.from_numpy(layer_neurons(lm, layer))
    neurons = flat.expand(n_facts, 1, -1)
    use = torch.ones(len(prompts.points), 1, dtype=torch.bool)
    train = torch.ones(neurons.shape, dtype=torch.bool)
    task = FitTask(prompts.points, prompts.fact, neurons, train, use)
    clean, bound = record_trace(lm, prompts.points), change_bound(lm, layer, max_change)
    delta = torch.zeros(*neurons.shape, columns(lm, layer).shape[1], device=lm.device)
    for _ in range(how.steps):
        loss, slope = loss_and_slope(lm, clean, task, delta, how.margin)
        if not loss.any():
            break
        steep = slope.abs().flatten(2).sum(2).clamp_min(1e-30)
        move = (loss / steep).clamp_max(how.rate * bound)
        delta = (delta - move[..., None, None] * slope.sign()).clamp(-bound, bound)
    return delta[:, 0]


def change_bound(lm: LanguageModel, layer: int, max_change: float) -> float:
    """Return the largest change of a weight: a share of the root mean square of the layer's."""
    size = columns(lm, layer).double().square().mean().sqrt()
    return float(np.float32(max_change * float(size)))
