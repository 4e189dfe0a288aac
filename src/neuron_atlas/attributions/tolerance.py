"""How many evaluations per path an attribution needs: measured on a few prompts, not assumed."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.clean_pass import Method, run_methods
from neuron_atlas.attributions.gradients import Baseline, Mean, completeness_error, path_method
from neuron_atlas.attributions.quadrature import Quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.targets import Target
from neuron_atlas.model.language_model import LanguageModel

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def fewest_steps(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    baseline: Baseline,
    make: Callable[[int], Quadrature],
    target: Target,
    tolerance: float,
    mean: Mean | None = None,
) -> int:
    """Return the first of `STEPS` whose median completeness error is at most `tolerance`.

    Args:
        lm: The model.
        questions: The prompts on which the error is measured.
        baseline: As in `gradients.integrated_gradients`.
        make: Returns the rule with a given number of evaluations.
        target: As in `gradients.integrated_gradients`.
        tolerance: Largest median completeness error, a share of the target's change.
        mean: As in `gradients.integrated_gradients`.

    Raises:
        ValueError: none of `STEPS` is enough.
    """
    difference: Tensor | None = None  # the same for every rule
    errors = {}
    for steps in STEPS:
        method = path_method(
            lm,
            baseline=baseline,
            rule=make(steps),
            target=target,
            mean=mean,
            check=difference is None,
        )
        scores, found = _attributed(lm, questions, method, by_words=baseline == "occlusion")
        difference = found if difference is None else difference
        errors[steps] = float(completeness_error(scores, difference).median())
        if errors[steps] <= tolerance:
            return steps
    raise _too_strict(tolerance, errors, len(questions))


def _attributed(
    lm: LanguageModel, questions: Sequence[Question], method: Method, *, by_words: bool
) -> tuple[Float[Tensor, "question layer neuron"], Float[Tensor, "question layer"]]:
    """Return scores and differences of all questions, in the engine's order."""
    found = [f["one"] for f in run_methods(lm, questions, {"one": method}, by_words=by_words)]
    scores = torch.cat([part.scores for part in found])
    return scores, torch.cat([part.difference for part in found])


def _too_strict(tolerance: float, errors: Mapping[int, float], n_prompts: int) -> ValueError:
    best = min(errors, key=lambda n: errors[n])
    return ValueError(
        f"attributions.tolerance is {tolerance}, but the median completeness error of "
        f"{n_prompts} prompts is {errors[best]:.2g} at best, with {best} evaluations per path; "
        "raise it, choose another attributions.rule, or fix attributions.steps"
    )
