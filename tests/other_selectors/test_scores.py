"""Each selector's score is the quantity that its name promises, computed the slow way here."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import planted
import planted_scores
import tiny
from neuron_atlas.arms.push import Writing
from neuron_atlas.attributions.clean_pass import clean_passes
from neuron_atlas.attributions.questions import Question, points, question_of
from neuron_atlas.facts import roles
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.other_selectors import scores
from neuron_atlas.pipeline.store import records
from neuron_atlas.scoring.candidates import CandidateTokens
from rounding import rounding

ONE = Question("a b c d", (9,), ((9,), (20,), (7,)))
QUESTIONS = [
    Question("a b c d", (9, 11), ((9, 11), (20,))),
    Question("e f", (8,), ((8,), (6, 7), (9,))),
    Question("g h i j k", (12,), ((12,), (13,))),
]
DEPTH = 3 * tiny.DEPTH


@pytest.fixture(scope="module", params=["llama", "bert", "gpt_neox", "gemma3_text"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


def off(lm: LanguageModel) -> Tensor:
    numbers = torch.Generator().manual_seed(3)
    return 0.2 * torch.randn(lm.n_layers, lm.n_neurons, generator=numbers)


def scored(lm: LanguageModel, questions: list[Question]) -> scores.Scores:
    return scores.of_relation(lm, questions, off(lm), Writing(lm, "hidden"))


def plain(
    lm: LanguageModel, question: Question, added: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Values at the answer position, gradient and log-probability, by whole passes and autograd.

    One token of the answer at a time, with `added` on the neurons of its position alone.
    """
    values, slopes, total = [], [], torch.zeros(())
    for point in points(lm, question):
        seen: dict[int, Tensor] = {}
        moved = torch.zeros(lm.n_layers, lm.n_neurons) if added is None else added.clone()
        moved.requires_grad_()

        def change(layer: int, at: int, seen: dict[int, Tensor] = seen, by: Tensor = moved):  # type: ignore[no-untyped-def]
            def changed(x: Tensor) -> Tensor:
                seen[layer] = x[0, at].detach()
                mask = torch.zeros(x.shape[1], 1)
                mask[at] = 1
                return x + mask * by[layer]

            return changed

        changes = {i: change(i, point.position) for i in range(lm.n_layers)}
        with hooks.edit(site_modules(lm, "hidden"), changes), torch.enable_grad():
            logits = lm.network(input_ids=torch.tensor([point.ids])).logits[0, point.position]
            value = logits.float().log_softmax(0)[point.token]
            (slope,) = torch.autograd.grad(value, moved)
        values.append(torch.stack([seen[i] for i in range(lm.n_layers)]))
        slopes.append(slope)
        total = total + value.detach()
    return torch.stack(values), torch.stack(slopes), total


def test_gradient_activation_is_the_mean_of_values_times_autograd(lm: LanguageModel) -> None:
    expected = torch.zeros(lm.n_layers, lm.n_neurons)
    for question in QUESTIONS:
        values, slopes, _ = plain(lm, question)
        expected += (values * slopes).sum(0) / len(QUESTIONS)
    found = scored(lm, QUESTIONS)[scores.GRADIENT_ACTIVATION]
    assert found.abs().max() > 1e-3
    assert (found - expected).abs().max() <= rounding(expected.abs().max() + 1, DEPTH)


def test_attribution_patching_is_the_slope_of_the_ablation(lm: LanguageModel) -> None:
    """Central differences of the log-probability as single neurons go a little towards w'."""
    found = scored(lm, [ONE])[scores.ATTRIBUTION_PATCHING]
    values, _, _ = plain(lm, ONE)
    step = 1e-2
    strongest = found.abs().flatten().topk(5).indices.tolist()
    for neuron in strongest:
        away = torch.zeros_like(off(lm))
        away.view(-1)[neuron] = (off(lm) - values[0]).flatten()[neuron]
        up, down = (plain(lm, ONE, sign * step * away)[2] for sign in (1, -1))
        harm = -float(up - down) / (2 * step)
        assert float(found.flatten()[neuron]) == pytest.approx(harm, rel=0.02, abs=1e-3)


def test_patching_to_the_neurons_own_values_is_nothing(lm: LanguageModel) -> None:
    own = plain(lm, ONE)[0][0]
    found = scores.of_relation(lm, [ONE], own, Writing(lm, "hidden"))
    bound = rounding(found[scores.GRADIENT_ACTIVATION].abs().max() + 1, DEPTH)
    assert found[scores.ATTRIBUTION_PATCHING].abs().max() <= bound


def test_direct_effects_are_slopes_of_the_logit_on_a_linear_way(lm: LanguageModel) -> None:
    """What a last layer's neuron adds passes no later layer: its direct effect is its whole one."""
    clean = next(iter(clean_passes(lm, [ONE])))
    found = scores.direct_logits(clean, Writing(lm, "hidden"))[0, -1]
    point = points(lm, ONE)[0]
    own = clean.trace.values[0, -1]
    moved = torch.zeros_like(own).requires_grad_()

    def change(x: Tensor) -> Tensor:
        mask = torch.zeros(x.shape[1], 1)
        mask[point.position] = 1
        return x + mask * moved

    with (
        hooks.edit(site_modules(lm, "hidden"), {lm.n_layers - 1: change}),
        torch.enable_grad(),
    ):
        logits = lm.network(input_ids=torch.tensor([point.ids])).logits[0, point.position]
        (logits[9] - logits[[9, 20, 7]].mean()).backward()
    expected = own * moved.grad
    assert expected.abs().max() > 1e-3
    assert (found - expected).abs().max() <= rounding(expected.abs().max() + 1, DEPTH)


def test_direct_effects_add_up_to_the_logit_of_a_model_without_norms(
    planted_model: LanguageModel,
) -> None:
    """The planted model's norms do nothing: all neurons' effects together are the logit."""
    table = planted_scores.recalled(planted_model, "xa")
    row = records(table[table["relation"] == "alpha"])[0]
    question = question_of(CandidateTokens(planted_model), row)
    clean = next(iter(clean_passes(planted_model, [question])))
    found = scores.direct_logits(clean, Writing(planted_model, "hidden"))[0]
    n = planted.N_ANSWERS
    whole = planted.GAIN * planted.STRENGTH["alpha"] * (1 - 1 / n)
    assert float(found.sum()) == pytest.approx(whole, abs=1e-4)
    unit = planted.NEURONS[f"fact:{row['fact']}"]
    assert float(found[unit.layer, unit.index]) == pytest.approx(whole, abs=1e-4)


def test_a_first_token_alone_counts_for_direct_effects(lm: LanguageModel) -> None:
    first = Question("a b c d", (9,), ((9,), (20,)))
    if lm.architecture.encoder:
        pytest.skip("an encoder reads other masks for another length")
    one, two = (
        scored(lm, [q])[scores.DIRECT_LOGIT_ATTRIBUTION]
        for q in (first, replace(first, answer=(9, 11), candidates=((9, 11), (20,))))
    )
    assert (one - two).abs().max() <= rounding(one.abs().max() + 1, DEPTH)


@pytest.mark.parametrize("selector", [scores.GRADIENT_ACTIVATION, scores.ATTRIBUTION_PATCHING])
@pytest.mark.parametrize("relation", ["delta", "epsilon"])
def test_gradients_find_the_planted_neurons(
    planted_model: LanguageModel, relation: str, selector: str
) -> None:
    """Fact units come first for their own facts; over many facts the relation's units lead."""
    table = planted_scores.recalled(planted_model, "xa")
    used = table[table["correct"] & roles.selects(table) & (table["relation"] == relation)]
    tokens = CandidateTokens(planted_model)
    questions = [question_of(tokens, row) for row in records(used)]
    nothing = torch.zeros(planted.N_LAYERS, planted.N_NEURONS)
    found = scores.of_relation(planted_model, questions, nothing, Writing(planted_model, "hidden"))
    best = found[selector].flatten().topk(planted.M).indices.sort().values
    assert best.tolist() == planted.planted(relation).tolist()
