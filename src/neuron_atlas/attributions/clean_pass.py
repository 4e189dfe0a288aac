"""One clean pass per batch of questions, from which every attribution method starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.attributions import occlusion
from neuron_atlas.attributions.batches import Batch, batches, halves
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.settings import Target
from neuron_atlas.attributions.targets import target_values
from neuron_atlas.attributions.trace import Trace, at, record_trace
from neuron_atlas.devices.halving import halving
from neuron_atlas.model.language_model import LanguageModel

Factors = Float[Tensor, "question layer neuron"]
PointScores = tuple[Tensor, Tensor, Tensor]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Attributed:
    """The attributions of some questions.

    Attributes:
        places: Which of the questions they are.
        scores: Attribution of each neuron, in the unit of the target, summed over the points.
        value: The target at the neurons' own values.
        difference: The target less its value with a whole layer at its baseline, summed over the
            occluded words: the sum of the layer's scores if the integral is exact. NaN where it
            was not asked for.
    """

    places: Int[np.ndarray, " question"]
    scores: Float[Tensor, "question layer neuron"]
    value: Float[Tensor, " question"]
    difference: Float[Tensor, "question layer"]


class CleanPass:
    """A batch's clean pass, with the gradients at the neurons' own values, which methods share."""

    def __init__(
        self, lm: LanguageModel, trace: Trace, batch: Batch, keep: Factors | None = None
    ) -> None:
        self.lm, self.trace, self.batch, self.keep = lm, trace, batch, keep
        self._found: dict[Target, tuple[Tensor, Tensor]] = {}

    @cached_property
    def occluded(self) -> Float[Tensor, "point word layer neuron"]:
        """The hidden units with each word hidden in turn."""
        return occlusion.occluded_values(self.lm, self.batch.points, self.batch.words)

    def gradient(
        self, target: Target
    ) -> tuple[Float[Tensor, " point"], Float[Tensor, "point layer neuron"]]:
        """Return the target and its gradient; one row per point gives those of all layers."""
        if target not in self._found:
            self._found[target] = _own_gradient(self.lm, self.trace, self.batch, target)
        return self._found[target]


Method = Callable[[CleanPass], PointScores]  # scores, value and difference of each point


def run_methods(
    lm: LanguageModel,
    questions: Sequence[Question],
    methods: Mapping[str, Method],
    *,
    by_words: bool = False,
    keep: Factors | None = None,
) -> Iterator[dict[str, Attributed]]:
    """Yield the results of several methods, by name, from one clean pass per batch.

    A batch that does not fit a device's memory is halved.

    Args:
        lm: The model.
        questions: Prompts with their answers.
        methods: By name; see `gradients.path_method` and the methods beside it.
        by_words: Whether a method occludes words; a batch's prompts then have equally many words.
        keep: Factors on the neurons at the answer position, applied before anything else.
    """

    def run(clean: CleanPass) -> dict[str, Attributed]:
        return {name: attributed(clean, method, questions) for name, method in methods.items()}

    yield from on_clean_passes(lm, questions, run, by_words=by_words, keep=keep)


def on_clean_passes(
    lm: LanguageModel,
    questions: Sequence[Question],
    run: Callable[[CleanPass], Result],
    *,
    by_words: bool = False,
    keep: Factors | None = None,
) -> Iterator[Result]:
    """Yield what is made of one clean pass per batch of questions.

    A batch that does not fit a device's memory, in its pass or in what is made of it, is halved.
    Other arguments are as in `run_methods`.
    """

    def ran(batch: Batch) -> Result:
        return run(_clean_pass(lm, batch, keep))

    for batch in batches(lm, questions, by_words=by_words):
        for _, found in halving(batch, ran, halves):
            yield found


def clean_passes(
    lm: LanguageModel, questions: Sequence[Question], *, by_words: bool = False
) -> Iterator[CleanPass]:
    """Yield one clean pass per batch of questions; arguments as in `run_methods`."""
    yield from on_clean_passes(lm, questions, lambda clean: clean, by_words=by_words)


def parts_attributed(
    clean: CleanPass, method: Method, questions: Sequence[Question]
) -> Iterator[Attributed]:
    """Yield the attributions of a batch, from its clean pass; of its halves if it does not fit.

    Halves have clean passes of their own, which are not kept.
    """

    def run(batch: Batch) -> Attributed:
        whole = batch is clean.batch
        some = clean if whole else _clean_pass(clean.lm, batch, clean.keep)
        return attributed(some, method, questions)

    for _, found in halving(clean.batch, run, halves):
        yield found


def _clean_pass(lm: LanguageModel, batch: Batch, keep: Factors | None) -> CleanPass:
    factors = None
    if keep is not None:
        owner = torch.tensor(batch.owner, device=lm.device)
        factors = keep[torch.tensor(batch.places)].to(lm.device)[owner]
    return CleanPass(lm, record_trace(lm, batch.points, keep=factors), batch, keep)


def attributed(clean: CleanPass, run: Method, questions: Sequence[Question]) -> Attributed:
    """Run a method on one batch of the questions, and add up the points of each question.

    Raises:
        ValueError: a score is not finite.
    """
    batch, owner = clean.batch, torch.tensor(clean.batch.owner, device=clean.lm.device)
    scores, value, difference = (_added(x, owner, len(batch.places)) for x in run(clean))
    _require_finite(scores, [questions[i] for i in batch.places])
    return Attributed(np.array(batch.places), scores, value, difference)


def _own_gradient(
    lm: LanguageModel, trace: Trace, batch: Batch, target: Target
) -> tuple[Tensor, Tensor]:
    first = trace.values[:, 0, None].clone().requires_grad_()
    watched: list[Tensor] = []
    entries = [first, *[None] * (lm.n_layers - 1)]
    with torch.enable_grad():
        value = target_of(lm, run_rows(lm, trace, entries, watch=watched), batch, target)
        value.sum().backward()  # type: ignore[no-untyped-call]
    passed = [at(cast(Tensor, x.grad)[:, 0], trace.token) for x in watched]
    slopes = [cast(Tensor, first.grad)[:, 0], *passed]
    gradient = lm.stacked(dict(enumerate(slopes)), 1).float()
    return value.detach()[:, 0], gradient


def target_of(
    lm: LanguageModel, output: Float[Tensor, "point row d_model"], batch: Batch, target: Target
) -> Float[Tensor, "point row"]:
    """Return the target of rows that `resume.run_rows` returned, in float32."""
    return target_values(lm, output, batch.points, target).float()


def _added(part: Tensor, owner: Int[Tensor, " point"], n_questions: int) -> Tensor:
    total = torch.zeros(n_questions, *part.shape[1:], device=part.device)
    return total.index_add_(0, owner, part.float()).cpu()


def _require_finite(scores: Tensor, asked: Sequence[Question]) -> None:
    bad = ~torch.isfinite(scores).flatten(1).all(1)
    if bad.any():
        question = asked[int(bad.nonzero()[0])]
        raise ValueError(
            f"the attributions of the prompt {question.prompt!r} are NaN or infinite; "
            "try model.dtype: float32"
        )
