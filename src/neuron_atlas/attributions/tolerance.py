"""How many evaluations of a path an attribution needs: measured on a few prompts, not assumed."""

from collections.abc import Callable, Sequence

import torch

from neuron_atlas.attributions.clean_pass import together
from neuron_atlas.attributions.gradients import Baseline, Mean, completeness_error, paths
from neuron_atlas.attributions.quadrature import Quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.attributions.targets import Target
from neuron_atlas.model.language_model import LanguageModel

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def fewest(
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
        make: The rule with so many evaluations.
        target: As in `gradients.integrated_gradients`.
        tolerance: A share of the change of the target.
        mean: As in `gradients.integrated_gradients`.

    Raises:
        ValueError: no number of `STEPS` is enough.
    """
    difference: torch.Tensor | None = None  # the same for every rule
    errors = {}
    for steps in STEPS:
        run = paths(
            lm,
            baseline=baseline,
            rule=make(steps),
            target=target,
            mean=mean,
            check=difference is None,
        )
        by_words = baseline == "occlusion"
        found = [f["one"] for f in together(lm, questions, {"one": run}, by_words=by_words)]
        if difference is None:
            difference = torch.cat([part.difference for part in found])
        scores = torch.cat([part.scores for part in found])
        errors[steps] = float(completeness_error(scores, difference).median())
        if errors[steps] <= tolerance:
            return steps
    best = min(errors, key=lambda n: errors[n])
    raise ValueError(
        f"attributions.tolerance is {tolerance}, but the median completeness error of "
        f"{len(questions)} prompts is {errors[best]:.2g} at best, with {best} evaluations of a "
        "path; raise it, choose another attributions.rule, or fix attributions.steps"
    )
