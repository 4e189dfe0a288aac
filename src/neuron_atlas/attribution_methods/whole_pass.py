"""Whole differentiable passes over a prompt: the target from the tokens' embeddings on."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.occlusion import filler_token
from neuron_atlas.attributions.questions import Point
from neuron_atlas.attributions.settings import Target
from neuron_atlas.attributions.targets import target_values
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules


def point_target(
    lm: LanguageModel, point: Point, target: Target, *, n_rows: int = 1
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d_model"]]:
    """Run the body on one point, in equal rows, for hooks that change each.

    Returns:
        The target of each row, and the last block's output at the answer position, before the final
        norm; both are differentiable where the hooks are.
    """
    seen: list[Tensor] = []

    def change(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    end = [(module, True) for module in lm.ending[:1]]
    ids = torch.tensor([point.ids], device=lm.device).expand(n_rows, -1)
    with hooks.edit(end, dict.fromkeys(range(len(end)), change)):
        last = lm.hidden(ids, torch.arange(ids.shape[1]).to(ids).expand_as(ids), _visible(lm, ids))
    output = (seen[0] if seen else last)[:, point.position]
    return target_values(lm, output[None], [point], target)[0].float(), output


def _visible(lm: LanguageModel, ids: Tensor) -> Tensor:
    """Return what may be attended to, in the form that `LanguageModel.hidden` takes."""
    everything = torch.ones(*ids.shape, dtype=torch.bool, device=ids.device)
    if lm.architecture.encoder:
        return everything
    return everything[:, None].expand(-1, ids.shape[1], -1).tril()


def gradients_between_inputs(
    lm: LanguageModel,
    points: Sequence[Point],
    hidden: Sequence[Sequence[int]],
    target: Target,
    *,
    steps: int,
) -> Float[Tensor, "point layer neuron"]:
    """Return each neuron's mean gradient at inputs between a hidden query and the real one.

    1 / m * sum over k = 1..m of dF / dw at the embeddings z' + k / m (z - z'): Hanna et al. 2024
    (EAP-IG, arXiv 2403.17806, section 3), z' being the embeddings with tokens hidden by the token
    that `occlusion` uses, where the paper takes those of another prompt.

    Args:
        lm: The model.
        points: What is read, and where it is answered.
        hidden: Of each point, the positions of the hidden tokens.
        target: F.
        steps: m.

    Raises:
        ValueError: the model has no token that hides words.
    """
    found = [
        _between(lm, point, list(places), target, steps)
        for point, places in zip(points, hidden, strict=True)
    ]
    return torch.stack(found)


def _between(
    lm: LanguageModel, point: Point, hidden: list[int], target: Target, steps: int
) -> Float[Tensor, "layer neuron"]:
    embedding = lm.network.get_input_embeddings()
    ids = torch.tensor([point.ids])
    ids[0, hidden] = filler_token(lm)
    with torch.no_grad():
        low: Tensor = embedding(ids.to(lm.device))
    share = ((torch.arange(steps, device=lm.device) + 1) / steps)[:, None, None].to(low.dtype)
    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    modules = site_modules(lm, "hidden")
    with (
        hooks.edit([(embedding, False)], {0: lambda x: (low + share * (x - low)).requires_grad_()}),
        hooks.edit(modules, dict.fromkeys(range(lm.n_layers), watched)),
        torch.enable_grad(),
    ):
        value, _ = point_target(lm, point, target, n_rows=steps)
        slopes = torch.autograd.grad(value.sum(), seen)
    own = {i: slope[:, point.position].float().mean(0) for i, slope in enumerate(slopes)}
    return lm.stacked(own, 0)
