"""Where a relation's answers stand among the tokens that neurons promote.

The area under the curve: the chance that a token that begins one of the relation's answers is
promoted above one that begins other relations' answers. 0.5 is chance.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from neuron_atlas.value_vectors import at_head
from neuron_atlas.value_vectors.answer_tokens import Sides
from neuron_atlas.value_vectors.at_head import AtHead, ValueVectors


def of_vectors(
    vectors: ValueVectors, heads: AtHead, relations: Mapping[str, Sides]
) -> Iterator[tuple[str, Float64[np.ndarray, " vector"]]]:
    """Yield each relation with the area of every vector for it.

    Args:
        vectors: Of the model.
        heads: Vectors as the head reads them.
        relations: By relation, the tokens that are compared.
    """
    tokens = sorted({token for one in relations.values() for side in one for token in side})
    if not tokens:
        return
    ranked = Ranked.of(at_head.logits(heads, vectors.rows(torch.tensor(tokens))))
    for relation, one in relations.items():
        own, others = (torch.from_numpy(np.isin(tokens, side)) for side in one)
        yield relation, ranked.area(own.to(heads.device), others.to(heads.device))


@dataclass(frozen=True)
class Ranked:
    """Rows of values, ready for areas of any two groups of their columns.

    Attributes:
        order: The columns from the smallest value to the largest.
        first: For each column, how many values are below its own.
        last: For each column, how many are at most its own.
    """

    order: Int64[Tensor, "row column"]
    first: Int64[Tensor, "row column"]
    last: Int64[Tensor, "row column"]

    @classmethod
    def of(cls, values: Float[Tensor, "row column"]) -> "Ranked":
        """Rank the values of each row."""
        ordered, order = values.sort(dim=1, stable=True)
        first = torch.searchsorted(ordered, values)
        return cls(order, first, torch.searchsorted(ordered, values, right=True))

    def area(
        self, own: Bool[Tensor, " column"], others: Bool[Tensor, " column"]
    ) -> Float64[np.ndarray, " row"]:
        """Return the chance that one of the own is above one of the others; ties count half."""
        below = torch.zeros(len(self.order), self.order.shape[1] + 1, device=own.device)
        torch.cumsum(others[self.order].float(), 1, out=below[:, 1:])
        columns = own.nonzero()[:, 0]
        won = below.gather(1, self.first[:, columns]) + below.gather(1, self.last[:, columns])
        area = won.double().mean(1) / (2 * others.sum())
        return np.asarray(area.cpu().numpy())
