"""How many evaluations per path an attribution needs: measured on a few prompts, not assumed."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.clean_pass import (
    Attributed,
    CleanPass,
    Method,
    clean_passes,
    parts_attributed,
)
from neuron_atlas.attributions.gradients import completeness_error
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import progress

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Fewest(NamedTuple):
    """The fewest evaluations per path.

    Attributes:
        steps: How many.
        found: Share of the strongest neurons of all paths integrated alike that are also among
            the strongest with the screen; 1 without one.
    """

    steps: int
    found: float


def fewest_steps(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    by_words: bool,
    make: Callable[[int, bool, bool], Method],
    tolerance: float,
    strongest: int,
) -> Fewest:
    """Return the first of `STEPS` whose median completeness error is at most `tolerance`.

    Args:
        lm: The model.
        questions: The prompts on which the error is measured.
        by_words: As in `clean_pass.run_methods`.
        make: Returns the method with a given number of evaluations, with or without its screen,
            and with or without its differences.
        tolerance: Largest median completeness error, a share of the target's change.
        strongest: How many neurons per prompt are compared with and without the screen.

    Raises:
        ValueError: none of `STEPS` is enough.
    """
    passes = list(clean_passes(lm, questions, by_words=by_words))
    difference: Tensor | None = None  # the same for every rule
    errors = {}
    for steps in STEPS:
        what = f"error with {steps} evaluations"
        scores, found = _scores(passes, make(steps, True, difference is None), questions, what)
        difference = found if difference is None else difference
        errors[steps] = float(completeness_error(scores, difference).median())
        if errors[steps] <= tolerance:
            alike, _ = _scores(passes, make(steps, False, False), questions, "all paths alike")
            return Fewest(steps, _shared(scores, alike, strongest))
    raise _too_strict(tolerance, errors, len(questions))


def _scores(
    passes: Sequence[CleanPass], method: Method, questions: Sequence[Question], what: str
) -> tuple[Float[Tensor, "question layer neuron"], Float[Tensor, "question layer"]]:
    """Return scores and differences of all questions, in the engine's order."""
    found = list[Attributed]()
    with progress.bar(what, total=len(questions)) as shown:
        for clean in passes:
            for part in parts_attributed(clean, method, questions):
                found.append(part)
                shown.update(len(part.places))
    scores = torch.cat([part.scores for part in found])
    return scores, torch.cat([part.difference for part in found])


def _shared(
    a: Float[Tensor, "question layer neuron"], b: Float[Tensor, "question layer neuron"], k: int
) -> float:
    """Return which share of the k strongest neurons two attributions have in common."""
    tops = (x.flatten(1).topk(k).indices.tolist() for x in (a, b))
    return sum(len(set(x) & set(y)) for x, y in zip(*tops, strict=True)) / (k * len(a))


def _too_strict(tolerance: float, errors: Mapping[int, float], n_prompts: int) -> ValueError:
    best = min(errors, key=lambda n: errors[n])
    return ValueError(
        f"attributions.tolerance is {tolerance}, but the median completeness error of "
        f"{n_prompts} prompts is {errors[best]:.2g} at best, with {best} evaluations per path; "
        "raise it, lower attributions.screen, choose another attributions.rule, or fix "
        "attributions.steps"
    )
