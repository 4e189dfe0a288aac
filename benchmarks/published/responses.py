"""What neurons say to prompts: recorded while the questions are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel
from published.asking import Batch, Question, batches
from published.places import HIDDEN, RAW, Places, mlp_inputs, recorded


@dataclass(frozen=True)
class Responses:
    """Values at prompts.

    Attributes:
        raw_mean: The outputs of gate, up and down, averaged over the prompt's tokens, the beginning
            of the sequence among them (the paper's response).
        hidden_last: Hidden units at the answer position (ours).
        mlp_input: What each MLP reads at the answer position.
    """

    raw_mean: Float[Tensor, "prompt raw"]
    hidden_last: Float[Tensor, "prompt hidden"]
    mlp_input: Float[Tensor, "prompt layer d_model"]

    def of(self, rows: Sequence[int]) -> "Responses":
        """Return some prompts' values."""
        index = torch.tensor(list(rows), dtype=torch.long)
        return Responses(self.raw_mean[index], self.hidden_last[index], self.mlp_input[index])


@torch.no_grad()
def respond(lm: LanguageModel, asked: Sequence[Question]) -> Responses:
    """Record the unedited model at the questions' prompts."""
    raw, hidden = Places(lm, RAW), Places(lm, HIDDEN)
    d_model = lm.d_model
    means = torch.empty(len(asked), lm.n_layers, raw.width)
    lasts = torch.empty(len(asked), lm.n_layers, hidden.width)
    inputs = torch.empty(len(asked), lm.n_layers, d_model)
    for where, batch in batches([q.ids for q in asked]):
        mean, last, read = _one_batch(lm, batch, raw, hidden)
        for layer in range(lm.n_layers):
            means[where, layer] = mean[layer]
            lasts[where, layer] = last[layer]
            inputs[where, layer] = read[layer]
    return Responses(means.flatten(1), lasts.flatten(1), inputs)


def _one_batch(
    lm: LanguageModel, batch: Batch, raw: Places, hidden: Places
) -> tuple[dict[int, Tensor], dict[int, Tensor], dict[int, Tensor]]:
    n, width = batch.ids.shape
    weight = batch.real / batch.lengths[:, None]
    mean: dict[int, Tensor] = {}
    last: dict[int, Tensor] = {}
    visible = torch.ones(width, width, dtype=torch.bool).tril() & batch.real[:, None]
    with (
        recorded(raw, lambda x: torch.einsum("bpn,bp->bn", x, weight.to(x.dtype)), mean),
        recorded(hidden, lambda x: x[batch.last], last),
        hooks.record(mlp_inputs(lm), lambda x: x[batch.last]) as read,
    ):
        lm.hidden(batch.ids, torch.arange(width).expand(n, -1), visible)
    return mean, last, read
