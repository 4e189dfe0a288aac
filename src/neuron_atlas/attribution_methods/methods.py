"""The attribution methods that are compared: of each, its scores and the error that it admits."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attribution_methods import relevance, whole_pass
from neuron_atlas.attribution_methods.case import Case, Reference, hides_words
from neuron_atlas.attribution_methods.path_gradients import mean_gradients
from neuron_atlas.attributions import gradients, strongest
from neuron_atlas.attributions.clean_pass import Method as PathMethod
from neuron_atlas.attributions.clean_pass import attributed
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.streams import stream

AMIG = "amig"  # the method of the claims
NOTHING_PROMISED = float("nan")


class Scored(NamedTuple):
    """What a method says of one question.

    Attributes:
        scores: Of each neuron, summed over the answer's points: by how much the target is claimed
            to fall when the neuron is set to the method's own baseline; of `activation` and
            `random` only the order means something.
        error: By what share the scores miss the sum that the method promises; NaN if it promises
            none.
    """

    scores: Float[Tensor, "layer neuron"]
    error: float


def amig(case: Case) -> Scored:
    """Integrated gradients as stage `attributions` takes them, screen and all.

    After Chen et al. 2024 (arXiv 2308.13198, equations 2, 3 and 5), with the factor w - w'; see
    `gradients.integrated_gradients`. Promises that each layer's scores sum to the target's change.
    """
    run = strongest.attribution_method(case.lm, case.plan, case.path_mean, check=True)
    return _complete(case, run)


def amig_published(case: Case) -> Scored:
    """W times the integral of the gradient along the same paths, summed over words.

    Chen et al. 2024, equation 4: their prefactor is w, where completeness (their equation 2) needs
    w - w'. Apart from it our path method without the screen, so that the prefactor is the only
    difference: their sum takes 20 equal steps, the target is their probability, and their code
    averages the words' baselines into one path. Equation 5's division by the sum, absent from
    their code, is left out, which changes no order.
    """
    slopes = mean_gradients(
        case.clean, case.low["path"], case.plan.quadrature, case.plan.target
    ).sum(1)
    return Scored(_summed(case.values * slopes), NOTHING_PROMISED)


def zero_ig(case: Case) -> Scored:
    """Integrated gradients from zero, by the rule of stage `attributions`.

    Dai et al. 2022 (arXiv 2104.08696, equation 2). Their target is the probability, their rule 20
    equal steps. Promises sums as `amig` does.
    """
    run = gradients.path_method(
        case.lm, baseline="zero", rule=case.plan.zero_quadrature, target=case.plan.target
    )
    return _complete(case, run)


def gradient_activation(case: Case) -> Scored:
    """Gradient at the neuron's own value times the value: Shrikumar et al. 2016 (1605.01713)."""
    return Scored(_summed(_gradient(case) * case.values), NOTHING_PROMISED)


def attribution_patching(case: Case) -> Scored:
    """Gradient times the value less its mean over prompts of other relations.

    Nanda 2023; Syed et al. 2023 (arXiv 2310.10348), with a mean over many prompts in
    place of one corrupted prompt.
    """
    return Scored(_summed(_gradient(case) * (case.values - _mean(case))), NOTHING_PROMISED)


def relp(case: Case) -> Scored:
    """Relevance coefficient times the value less its mean over prompts of other relations.

    Jafari et al. 2025 (arXiv 2508.21258); see `relevance`. As in `attribution_patching` a mean
    takes the place of one corrupted prompt. Its error is the relevance lost on the way through the
    blocks. Raises ValueError where a family has no rules.
    """
    target = case.plan.target
    slopes = relevance.coefficients(case.clean, target)
    error = relevance.conservation_error(case.clean, target)
    return Scored(_summed(slopes * (case.values - _mean(case))), error)


def eap_ig_inputs(case: Case) -> Scored:
    """Mean gradient between a hidden query and the real one, times the difference of the values.

    Hanna et al. 2024 (EAP-IG, arXiv 2403.17806, section 3), of nodes in place of edges, as MIB
    (Mueller et al. 2025) names it. The corrupted prompt is the query with all words hidden.
    Promises no sums by layer.
    """
    slopes = whole_pass.gradients_between_inputs(
        case.lm,
        case.clean.batch.points,
        case.hidden,
        case.plan.target,
        steps=case.input_steps,
    )
    away = case.values - case.low["input"][:, 0].float()
    return Scored(_summed(slopes * away), NOTHING_PROMISED)


def activation(case: Case) -> Scored:
    """Absolute value, the mean over the answer's points: needs no gradient and knows no answer."""
    return Scored(case.values.abs().mean(0).cpu(), NOTHING_PROMISED)


def random(case: Case) -> Scored:
    """Uniform noise, which sets the floor: a stream of its own for each question."""
    rng = stream(case.seed, "attribution_methods", "random", *case.name)
    drawn = rng.random((case.lm.n_layers, case.lm.n_neurons))
    return Scored(torch.from_numpy(drawn).float(), NOTHING_PROMISED)


METHODS: dict[str, Callable[[Case], Scored]] = {
    AMIG: amig,
    "amig_published": amig_published,
    "zero_ig": zero_ig,
    "gradient_activation": gradient_activation,
    "attribution_patching": attribution_patching,
    "relp": relp,
    "eap_ig_inputs": eap_ig_inputs,
    "activation": activation,
    "random": random,
}
OWN: dict[str, Reference] = {  # what each method compares a neuron's value with
    AMIG: "path",
    "amig_published": "path",
    "zero_ig": "zero",
    "gradient_activation": "zero",
    "attribution_patching": "mean",
    "relp": "mean",
    "eap_ig_inputs": "input",
    "activation": "zero",
    "random": "zero",
}


def absent(lm: LanguageModel) -> dict[str, str]:
    """Return the methods that a model does not have, each with the reason."""
    found = {}
    if reason := relevance.undefined(lm):
        found["relp"] = reason
    if not hides_words(lm):
        found["eap_ig_inputs"] = "no token hides words: config.json names no eos_token_id"
    return found


def _complete(case: Case, run: PathMethod) -> Scored:
    found = attributed(case.clean, run, [case.question])
    error = gradients.completeness_error(found.scores, found.difference)
    return Scored(found.scores[0], float(error[0]))


def _gradient(case: Case) -> Float[Tensor, "point layer neuron"]:
    return case.clean.gradient(case.plan.target)[1]


def _mean(case: Case) -> Float[Tensor, "point layer neuron"]:
    return case.low["mean"][:, 0].float()


def _summed(scores: Float[Tensor, "point layer neuron"]) -> Float[Tensor, "layer neuron"]:
    return scores.sum(0).cpu()
