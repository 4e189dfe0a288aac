"""In every family the engine's attributions are those of whole forward passes, one at a time."""

from collections.abc import Iterator, Sequence
from functools import cache

import pytest
import torch
from torch import Tensor

import tiny
from neuron_atlas.attributions import gradients, occlusion, quadrature
from neuron_atlas.attributions.questions import Point, Question, points, words
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.trace import record_trace
from neuron_atlas.model import hooks, kernels
from neuron_atlas.model.language_model import LanguageModel, site_modules
from rounding import rounding

DEPTH = 3 * tiny.DEPTH  # a score has come up, up along the path, and down as a slope
RULE = quadrature.midpoint(2)
KINDS: tuple[gradients.Baseline, ...] = ("zero", "occlusion")
QUESTIONS = [  # the first two share a batch: equally many words, but other lengths
    Question("a b c d", (9, 11), query=(0, 3)),
    Question("e f g", (8,), query=(0, 3)),
    Question("g h i j k", (12, 13, 14), query=(2, 7)),
]


@torch.no_grad()
def own(lm: LanguageModel, ids: Sequence[int], position: int) -> Tensor:
    """The hidden units of one plain forward: [layer, neuron]."""
    with hooks.record(site_modules(lm, "hidden")) as values:
        lm.network(torch.tensor([ids]))
    return torch.stack([values[layer][0, position] for layer in range(lm.n_layers)])


def baselines(
    lm: LanguageModel, question: Question, point: Point, kind: gradients.Baseline
) -> Iterator[Tensor]:
    if kind == "zero":
        yield torch.zeros(lm.n_layers, lm.n_neurons)
        return
    for word in words(lm, question):
        hidden = [occlusion.filler_token(lm) if i in word else x for i, x in enumerate(point.ids)]
        yield own(lm, hidden, point.position)


def gradient(lm: LanguageModel, point: Point, layer: int, at: Tensor) -> Tensor:
    """Slope of log p(token), with the layer's hidden units at the answer position set to `at`."""
    values = at.clone().requires_grad_()

    def change(x: Tensor) -> Tensor:
        here = (torch.arange(x.shape[1]) == point.position)[:, None]
        return torch.where(here, values, x)

    with torch.enable_grad(), hooks.edit(site_modules(lm, "hidden"), {layer: change}):
        logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
        (found,) = torch.autograd.grad(logits.log_softmax(-1)[point.token], values)
    return found


@cache
def plain(family: str, question: Question, kind: gradients.Baseline) -> Tensor:
    lm = attending(family, "eager" if len(kernels_of(family)) > 1 else kernels_of(family)[0])
    total = torch.zeros(lm.n_layers, lm.n_neurons)
    for point in points(lm, question):
        end = own(lm, point.ids, point.position)
        for low in baselines(lm, question, point, kind):
            for layer, (w, start) in enumerate(zip(end, low, strict=True)):
                for node, weight in zip(RULE.nodes, RULE.weights, strict=True):
                    slope = gradient(lm, point, layer, start + node * (w - start))
                    total[layer] += weight * (w - start) * slope
    return total


def attending(family: str, name: str) -> LanguageModel:
    """The random model of a family with the attention of this name."""
    lm = tiny.random_model(family)
    lm.network.set_attn_implementation(name)
    return lm


def kernels_of(family: str) -> list[str]:
    """Names of the attentions that a family runs with, its own first; some have no choice."""
    network = tiny.random_network(family)
    own = str(network.config._attn_implementation)
    return [own, kernels.NAME] if network._can_set_attn_implementation() else [own]


CASES = [
    *((family, kind, kernels_of(family)[0]) for family in tiny.CONFIGS for kind in KINDS),
    *((name, "occlusion", kernels.NAME) for name in tiny.EVERY if len(kernels_of(name)) > 1),
]


@pytest.mark.parametrize(("family", "kind", "name"), CASES)
def test_attributions_equal_whole_forwards(
    family: str, kind: gradients.Baseline, name: str
) -> None:
    lm = attending(family, name)
    parts = list(
        gradients.integrated_gradients(
            lm, QUESTIONS, baseline=kind, rule=RULE, target="log_probability"
        )
    )
    assert {0, 1} <= set(parts[0].places)  # a padded batch
    assert sorted(i for part in parts for i in part.places) == [0, 1, 2]
    for part in parts:
        for scores, place in zip(part.scores, part.places, strict=True):
            expected = plain(family, QUESTIONS[place], kind)
            peak = float(expected.abs().max())
            assert peak > 1e-3
            assert float((scores - expected).abs().max()) <= rounding(expected, DEPTH)


@pytest.mark.parametrize("family", sorted(tiny.CONFIGS))
def test_the_last_block_of_an_encoder_reads_the_answer_alone(family: str) -> None:
    lm = tiny.random_model(family)
    start = record_trace(lm, points(lm, QUESTIONS[1]))
    tokens = start.outputs[0].shape[1]
    with hooks.record(site_modules(lm, "hidden")) as values:
        run_rows(lm, start, [start.values[:, 0, None], *[None] * (lm.n_layers - 1)])
    widths = [values[layer].shape[1] for layer in range(1, lm.n_layers)]
    cut = lm.architecture.attention_end is not None
    assert widths == [tokens, 1 if cut else tokens]
    assert cut == (lm.architecture.encoder and family != "modernbert")
