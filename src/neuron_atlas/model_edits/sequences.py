"""Whole prompts as a batch, run through the body of the model without its head."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text


@dataclass(frozen=True)
class Sequences:
    """Token ids, right-padded, and how long each row is."""

    ids: Int[Tensor, "row token"]
    length: Int[Tensor, " row"]

    @classmethod
    def of(cls, rows: Sequence[Text], device: torch.device) -> "Sequences":
        """Lay rows of tokens out."""
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        return cls(ids.to(device), torch.tensor([len(row) for row in rows], device=device))

    @property
    def there(self) -> Bool[Tensor, "row token"]:
        """Which tokens are no padding."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return places < self.length[:, None]

    @property
    def inside(self) -> Bool[Tensor, "row token"]:
        """The same without the first token of each row."""
        found = self.there.clone()
        found[:, 0] = False
        return found


def run_body(lm: LanguageModel, batch: Sequences) -> Float[Tensor, "row token d_model"]:
    """Return the body's output, after its final norm if it has one."""
    places = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand_as(batch.ids)
    there = batch.there
    if not lm.architecture.encoder:
        width = there.shape[1]
        there = there.new_ones(width, width).tril() & there[:, None]
    return lm.hidden(batch.ids, places, there)
