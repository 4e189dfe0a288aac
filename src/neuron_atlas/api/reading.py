"""Public names that read a model: answers, activations, attributions."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from neuron_atlas.activations import extraction
from neuron_atlas.api.arguments import as_texts
from neuron_atlas.attributions import gradients, quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.scoring import log_probability, trees
from neuron_atlas.scoring.candidates import CandidateTokens

RULES = {"zero": quadrature.graded, "occlusion": quadrature.gauss_legendre}


def log_probabilities(
    lm: LanguageModel, prompts: str | Iterable[str], answers: Iterable[str]
) -> Float64[np.ndarray, "*prompt answer"]:
    """Return the log-probability of each answer after each prompt.

    The sum over the answer's tokens, each given the prompt and the answer's earlier tokens (in a
    decoder), or each at its own mask (in an encoder; Kassner et al. 2021). It is normalised neither
    by the answer's length nor over the answers that are asked for.

    Args:
        lm: The model.
        prompts: One text or several.
        answers: Texts that continue each of the prompts, such as " Paris".

    Returns:
        Nats, at most 0.

    Raises:
        TypeError: a prompt or an answer is not text, or `answers` is one text.
        ValueError: there is no prompt or answer, or one is empty.
    """
    texts = as_texts(prompts, "prompts")
    labels = as_texts(answers, "answers", one=False)
    known = CandidateTokens(lm)
    queries = [trees.query(lm, text, known.answers(text, "", labels)) for text in texts]
    found = np.concatenate(log_probability.log_probabilities(lm, queries))
    return found[0] if isinstance(prompts, str) else found


def record_activations(
    lm: LanguageModel,
    prompts: str | Iterable[str],
    *,
    pooling: Literal["answer", "mean"] = "answer",
    site: Site = "hidden",
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Return the values of all neurons of all layers, from one pass per prompt.

    Args:
        lm: The model.
        prompts: One text or several; all values are held in memory.
        pooling: Where: `answer`, at the answer position; `mean`, the mean over all tokens, the
            beginning-of-sequence token included (Liu et al. 2025, arXiv 2502.17355, section 3.1).
        site: Which values: `hidden` is what every other name here calls a neuron; `gate`, `up` and
            `down` are the raw outputs of the projections, which Liu et al. call so.

    Returns:
        Values in the model's own unit; of a model in half precision the same numbers as float32.

    Raises:
        TypeError: a prompt is not text.
        ValueError: there is no prompt or one is empty, the model has no such site, or a value is
            NaN or infinite.
    """
    if pooling not in ("answer", "mean"):
        raise ValueError(f"pooling must be 'answer' or 'mean', got {pooling!r}")
    texts = as_texts(prompts, "prompts")
    readings = [extraction.reading(lm, text, (0, len(text)), pooling) for text in texts]
    parts = list(extraction.extract(lm, readings, site=site))
    return _in_order(parts, single=isinstance(prompts, str))


def integrated_gradients(
    lm: LanguageModel,
    prompts: str | Iterable[str],
    answers: str | Iterable[str],
    *,
    baseline: Literal["zero", "occlusion"] = "zero",
    target: Literal["log_probability", "probability"] = "log_probability",
    steps: int = 32,
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Attribute an answer's score to every neuron at the answer position.

    Attr = (w - w') * integral over a in [0, 1] of dF(w' + a (w - w')) / dw: Sundararajan et al.
    2017 (arXiv 1703.01365, equation 1), with the neurons of one layer as the input as in Dai et al.
    2022 (arXiv 2104.08696, equation 2). Other than there, F is by default the log-probability, and
    the integral is not a sum of equal steps: of the baseline `zero` the steps crowd towards it
    (`quadrature.graded`), of `occlusion` the rule is Gauss-Legendre.

    Args:
        lm: The model.
        prompts: One text or several.
        answers: The answer to each prompt: one text for one prompt, as many as there are prompts
            for several. An answer of several tokens is the sum over them, each with the neurons at
            the position that predicts it.
        baseline: w': 0; or the values with one word of the prompt hidden, added up over the words
            (Chen et al. 2024, arXiv 2308.13198, equation 5).
        target: F: nats, or a probability.
        steps: Points at which each path's gradient is taken.

    Returns:
        In the unit of F. The neurons of one layer sum to F less its value with the whole layer at
        the baseline, added up over the words for `occlusion`; more steps come closer.

    Raises:
        TypeError: a prompt or an answer is not text.
        ValueError: one is empty, their numbers differ, `steps` is below 1, the baseline or the
            target is unknown, no word can be hidden, or a score is NaN or infinite.
    """
    if baseline not in RULES or target not in ("log_probability", "probability"):
        raise ValueError(
            f"baseline must be one of {list(RULES)} and target 'log_probability' or 'probability', "
            f"got {baseline!r} and {target!r}"
        )
    texts, wanted = as_texts(prompts, "prompts"), as_texts(answers, "answers")
    if len(texts) != len(wanted):
        raise ValueError(
            f"expected one answer per prompt, got {len(texts)} prompts and {len(wanted)} answers"
        )
    found = gradients.integrated_gradients(
        lm,
        [_question(lm, text, answer) for text, answer in zip(texts, wanted, strict=True)],
        baseline=baseline,
        rule=RULES[baseline](steps),
        target=target,
        check=False,
    )
    parts = [(part.places, part.scores) for part in found]
    return _in_order(parts, single=isinstance(prompts, str))


def _question(lm: LanguageModel, prompt: str, answer: str) -> Question:
    (tokens,) = CandidateTokens(lm).answers(prompt, "", [answer])
    return Question(prompt, tokens, query=(0, len(prompt)))


def _in_order(
    parts: Iterable[tuple[Int64[np.ndarray, " part"], Float[Tensor, "part layer neuron"]]],
    *,
    single: bool,
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Put batches together in the order of the prompts."""
    places, values = zip(*parts, strict=True)
    found = torch.cat(values).float().numpy()[np.argsort(np.concatenate(places))]
    return found[0] if single else found
