"""One clean pass a batch of questions, which every way of attributing them starts from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.attributions.batches import Batch, batches
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.resume import climb
from neuron_atlas.attributions.targets import Target, score
from neuron_atlas.attributions.trace import Trace, at, trace
from neuron_atlas.model.language_model import LanguageModel

Factors = Float[Tensor, "question layer neuron"]
Scored = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Attributed:
    """The attributions of some questions.

    Attributes:
        places: Which of the questions they are.
        scores: Attribution of each neuron, in the unit of the target; the points are added up.
        value: The target at the neurons' own values.
        difference: The target less its value with a whole layer at its baseline, added up over the
            words of an occlusion: what the layer's scores sum to if the integral is exact. NaN
            where it was not asked for.
    """

    places: Int[np.ndarray, " question"]
    scores: Float[Tensor, "question layer neuron"]
    value: Float[Tensor, " question"]
    difference: Float[Tensor, "question layer"]


class Pass:
    """A batch's clean pass, and the gradients at the neurons' own values that methods share."""

    def __init__(self, lm: LanguageModel, start: Trace, batch: Batch) -> None:
        self.lm, self.start, self.batch = lm, start, batch
        self._found: dict[Target, tuple[Tensor, Tensor]] = {}

    def gradient(
        self, target: Target
    ) -> tuple[Float[Tensor, " point"], Float[Tensor, "point layer neuron"]]:
        """Return the target and its gradient: one row a point gives those of all layers."""
        if target not in self._found:
            self._found[target] = _own_gradient(self.lm, self.start, self.batch, target)
        return self._found[target]


Run = Callable[[Pass], Scored]  # scores, value and difference of each point


def together(
    lm: LanguageModel,
    questions: Sequence[Question],
    runs: Mapping[str, Run],
    *,
    by_words: bool = False,
    keep: Factors | None = None,
) -> Iterator[dict[str, Attributed]]:
    """Yield the results of several methods, by name, from one clean pass a batch.

    Args:
        lm: The model.
        questions: Prompts with their answers.
        runs: The methods; see `gradients.paths`, `slopes` and `own`.
        by_words: Whether a method occludes words; batches then have as many words a prompt.
        keep: Factors on the neurons at the answer position, in force before all else.
    """
    for batch in batches(lm, questions, by_words=by_words):
        owner = torch.tensor(batch.owner, device=lm.device)
        factors = None
        if keep is not None:
            factors = keep.to(lm.device)[torch.tensor(batch.places, device=lm.device)][owner]
        start = trace(lm, batch.points, keep=factors)
        clean = Pass(lm, start, batch)
        asked = [questions[i] for i in batch.places]
        yield {name: _attributed(run(clean), batch, owner, asked) for name, run in runs.items()}


def _attributed(
    part: Scored, batch: Batch, owner: Int[Tensor, " point"], asked: Sequence[Question]
) -> Attributed:
    """Add the points of each question up."""
    scores, value, difference = (_added(x, owner) for x in part)
    _require_finite(scores, asked)
    return Attributed(np.array(batch.places), scores, value, difference)


def _own_gradient(
    lm: LanguageModel, start: Trace, batch: Batch, target: Target
) -> tuple[Tensor, Tensor]:
    first = start.values[:, 0, None].clone().requires_grad_()
    watched: list[Tensor] = []
    entries = [first, *[None] * (lm.n_layers - 1)]
    with torch.enable_grad():
        value = target_of(lm, climb(lm, start, entries, watch=watched), batch, target)
        value.sum().backward()  # type: ignore[no-untyped-call]
    passed = [at(cast(Tensor, x.grad)[:, 0], start.token) for x in watched]
    gradient = torch.stack([cast(Tensor, first.grad)[:, 0], *passed], 1).float()
    return value.detach()[:, 0], gradient


def target_of(
    lm: LanguageModel, output: Float[Tensor, "point row d_model"], batch: Batch, target: Target
) -> Float[Tensor, "point row"]:
    """Return the target of rows that `resume.climb` brought up, in float32."""
    return score(lm, output, batch.points, target).float()


def _added(part: Tensor, owner: Int[Tensor, " point"]) -> Tensor:
    total = torch.zeros(int(owner.max()) + 1, *part.shape[1:], device=part.device)
    return total.index_add_(0, owner, part.float()).cpu()


def _require_finite(scores: Tensor, asked: Sequence[Question]) -> None:
    bad = ~torch.isfinite(scores).flatten(1).all(1)
    if bad.any():
        question = asked[int(bad.nonzero()[0])]
        raise ValueError(
            f"the attributions of the prompt {question.prompt!r} are NaN or infinite; "
            "try model.dtype: float32"
        )
