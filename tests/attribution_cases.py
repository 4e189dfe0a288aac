"""Questions and plans with which attribution methods are tested, and slow ways to the same."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from neuron_atlas.attribution_methods.case import Case, case_of
from neuron_atlas.attributions import occlusion
from neuron_atlas.attributions.questions import Point, Question, points, words
from neuron_atlas.attributions.settings import AttributionPlan, Baseline
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules

QUESTION = Question("a b c d", (9, 11), ((9, 11), (20, 6, 7), (9, 21)), query=(0, 7))
STEPS = 3  # inputs of EAP-IG


def plan(baseline: Baseline = "occlusion", **more: object) -> AttributionPlan:
    values: dict[str, object] = {
        **{"baseline": baseline, "rule": "radau", "steps": 3, "tolerance": 0.01, "screen": 0.0},
        **{"zero_rule": "graded", "zero_steps": 2, "target": "log_probability"},
        **{"max_facts": None, "keep": 10, "floor": 0.1},
    }
    return AttributionPlan.model_validate(values | more)


def others(lm: LanguageModel) -> Tensor:
    numbers = torch.Generator().manual_seed(3)
    return 0.2 * torch.randn(lm.n_layers, lm.n_neurons, generator=numbers)


def case(
    lm: LanguageModel, how: AttributionPlan | None = None, question: Question = QUESTION
) -> Case:
    return case_of(
        lm,
        question,
        how or plan(),
        others=others(lm),
        path_mean=None,
        name=("xx", "r:s"),
        seed=0,
        input_steps=STEPS,
    )


@torch.no_grad()
def own(lm: LanguageModel, ids: Sequence[int], position: int) -> Tensor:
    """The hidden units of one plain forward: [layer, neuron]."""
    with hooks.record(site_modules(lm, "hidden")) as values:
        lm.network(torch.tensor([list(ids)]))
    return torch.stack([values[layer][0, position] for layer in range(lm.n_layers)])


def value(lm: LanguageModel, point: Point, to: dict[int, Tensor]) -> Tensor:
    """Log p(token) of one plain forward, with whole layers set at the answer position."""

    def change(layer: int) -> hooks.Change:
        def run(x: Tensor) -> Tensor:
            here = (torch.arange(x.shape[1]) == point.position)[:, None]
            return torch.where(here, to[layer], x)

        return run

    with hooks.edit(site_modules(lm, "hidden"), {layer: change(layer) for layer in to}):
        logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
    return logits.log_softmax(-1)[point.token]


def slope(lm: LanguageModel, point: Point, layer: int, at: Tensor) -> Tensor:
    """Gradient of log p(token) with the layer's units at the answer position set to `at`."""
    entered = at.clone().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(value(lm, point, {layer: entered}), entered)
    return found


def occluded(lm: LanguageModel, point: Point, question: Question = QUESTION) -> Iterator[Tensor]:
    """The hidden units with each word hidden in turn."""
    for word in words(lm, question):
        yield own(lm, without(lm, point, word), point.position)


def without(lm: LanguageModel, point: Point, hidden: Sequence[int]) -> list[int]:
    filler = occlusion.filler_token(lm)
    return [filler if i in hidden else token for i, token in enumerate(point.ids)]


def every_word(lm: LanguageModel, question: Question = QUESTION) -> list[int]:
    return [i for word in words(lm, question) for i in word]


def asked_points(lm: LanguageModel, question: Question = QUESTION) -> list[Point]:
    return points(lm, question)


def hooked(lm: LanguageModel) -> list[object]:
    return [m for m in lm.network.modules() if m._forward_pre_hooks or m._forward_hooks]
