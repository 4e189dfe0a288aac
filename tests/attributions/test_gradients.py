"""Integrated gradients are complete, exact, and equal to captum's on the same quantity."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

import planted
import tiny
from neuron_atlas.attributions import clean_pass, gradients, occlusion, quadrature
from neuron_atlas.attributions.clean_pass import Attributed
from neuron_atlas.attributions.questions import Point, Question, points, words
from neuron_atlas.attributions.screening import Screen
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from rounding import rounding

QUESTIONS = [
    Question("a b c d", (9, 11), query=(0, 7)),
    Question("e f", (8,), query=(0, 3)),
    Question("g h i j k", (12, 13, 14), query=(2, 9)),
]
DEPTH = 3 * tiny.DEPTH  # a score has come up, up along the path, and down as a slope
FINE = quadrature.gauss_legendre(64)


@pytest.fixture(scope="module", params=["llama", "bert", "gpt2", "gemma3_text"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


def all_of(found: Sequence[Attributed]) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, values and differences in the order of the questions."""
    order = np.argsort(np.concatenate([part.places for part in found]))
    parts = (
        torch.cat([getattr(p, x) for p in found])[order] for x in ("scores", "value", "difference")
    )
    scores, value, difference = parts
    return scores, value, difference


def error(scores: Tensor, difference: Tensor) -> Tensor:
    return (scores.sum(2) - difference).abs().sum(1) / difference.abs().sum(1)


@pytest.mark.parametrize("baseline", ["zero", "mean", "occlusion"])
@pytest.mark.parametrize("target", ["log_probability", "probability", "candidates"])
def test_scores_of_a_layer_sum_to_the_change_of_the_target(
    lm: LanguageModel, baseline: gradients.Baseline, target: gradients.Target
) -> None:
    others = ((20, 6, 7), (9, 21))
    asked = [Question(q.prompt, q.answer, (q.answer, *others), q.query) for q in QUESTIONS]
    normalised = baseline == "zero" and lm.network.config.model_type == "gemma3_text"
    rule = quadrature.graded(64) if normalised else FINE
    mean = torch.full((lm.n_layers, lm.n_neurons), 0.1) if baseline == "mean" else None
    found = gradients.integrated_gradients(
        lm, asked, baseline=baseline, rule=rule, target=target, mean=mean
    )
    scores, value, difference = all_of(list(found))
    assert error(scores, difference).median() < 1e-3
    assert difference.abs().max() > 1e-3  # something was attributed
    if target != "probability":
        assert (value <= rounding(value, tiny.DEPTH)).all()


def test_equal_steps_miss_what_a_norm_behind_the_mlp_hides() -> None:
    """Gemma normalises the MLP's output: F is flat along the path except at its very start."""
    lm = tiny.random_model("gemma3_text")

    def run(rule: quadrature.Quadrature) -> float:
        found = gradients.integrated_gradients(
            lm, QUESTIONS, baseline="zero", rule=rule, target="log_probability"
        )
        scores, _, difference = all_of(list(found))
        return float(error(scores, difference).median())

    assert run(quadrature.midpoint(20)) > 0.5
    assert run(quadrature.graded(20)) < 0.1


def test_the_error_falls_by_four_when_the_steps_double(lm: LanguageModel) -> None:
    def run(steps: int) -> float:
        found = gradients.integrated_gradients(
            lm,
            QUESTIONS[1:2],
            baseline="occlusion",
            rule=quadrature.midpoint(steps),
            target="log_probability",
        )
        scores, _, difference = all_of(list(found))
        return float((scores.sum(2) - difference).abs().sum())

    assert run(8) > 1e-4  # far above rounding
    assert run(8) / run(16) == pytest.approx(4, rel=0.1)


def test_the_usual_prefactor_loses_completeness(lm: LanguageModel) -> None:
    """Eq. 4 and its code multiply by w where Eq. 2 has w - w': wrong unless w' is 0."""
    mean = torch.full((lm.n_layers, lm.n_neurons), 0.3)
    found = gradients.integrated_gradients(
        lm, QUESTIONS, baseline="mean", rule=FINE, target="log_probability", mean=mean
    )
    scores, _, difference = all_of(list(found))
    values = torch.stack([own(lm, q) for q in QUESTIONS])
    single = torch.tensor([len(q.answer) == 1 for q in QUESTIONS])
    factor = values / (values - mean)
    published = scores * factor
    assert error(scores, difference)[single].max() < 1e-3
    assert error(published, difference)[single].min() > 0.05


def own(lm: LanguageModel, question: Question) -> Tensor:
    """Values of the neurons at the first answer position, by one full forward."""
    point = points(lm, question)[0]
    with torch.no_grad(), hooks.record(site_modules(lm, "hidden")) as values:
        lm.network(torch.tensor([point.ids]))
    return torch.stack([values[i][0, point.position] for i in range(lm.n_layers)])


class Path(nn.Module):
    """A layer's neurons in, the answer's log-probability out: what captum integrates."""

    def __init__(self, lm: LanguageModel, point: Point, layer: int) -> None:
        super().__init__()
        self.neurons = nn.Identity()
        self.lm, self.point, self.layer = lm, point, layer

    def forward(self, values: Tensor) -> Tensor:
        rows = self.neurons(values)

        def change(x: Tensor) -> Tensor:
            at = (torch.arange(x.shape[1]) == self.point.position)[:, None]
            return torch.where(at, rows[:, None], x)

        with hooks.edit(site_modules(self.lm, "hidden"), {self.layer: change}):
            ids = torch.tensor([self.point.ids]).expand(len(values), -1)
            logits = self.lm.network(ids).logits[:, self.point.position]
        return logits.log_softmax(-1)[:, self.point.token]


@pytest.mark.filterwarnings("ignore:Setting forward:UserWarning")
def test_captum_s_layer_integrated_gradients_are_the_same(lm: LanguageModel) -> None:
    question, steps = QUESTIONS[1], 7
    rule = quadrature.gauss_legendre(steps)
    mean = torch.full((lm.n_layers, lm.n_neurons), 0.1)
    (found,) = gradients.integrated_gradients(
        lm, [question], baseline="mean", rule=rule, target="log_probability", mean=mean
    )
    values = own(lm, question)
    for layer in range(lm.n_layers):
        path = Path(lm, points(lm, question)[0], layer)
        theirs = LayerIntegratedGradients(path, path.neurons).attribute(
            values[layer : layer + 1],
            mean[layer : layer + 1],
            n_steps=steps,
            method="gausslegendre",
        )
        largest = float(theirs.abs().max())
        assert float((found.scores[0, layer] - theirs[0]).abs().max()) < 1e-4 * largest


def test_on_a_linear_path_one_step_is_the_true_effect() -> None:
    """Fact units of the planted model feed the answer's logit alone: value x gradient = effect."""
    lm = planted.model()
    table = planted.fact_table("xa")
    row = table[table["relation"] == "alpha"].iloc[0]
    token = planted.vocabulary()[row["answer"]]
    others = tuple((planted.vocabulary()[c],) for c in row["candidate_labels"])
    question = Question(row["prompt"], (token,), others, (0, len(row["prompt"])))
    rule = quadrature.gauss_legendre(16)
    (found,) = gradients.integrated_gradients(
        lm, [question], baseline="zero", rule=rule, target="candidates"
    )
    best = int(found.scores[0, 2].argmax())
    assert best == planted.NEURONS[f"fact:alpha:{row['subject']}"].index
    assert float(found.scores[0, 2].sum() - found.difference[0, 2]) == pytest.approx(0, abs=1e-4)
    zeros = found.scores[0, 2].clone()
    zeros[best] = 0
    assert float(zeros.abs().max()) < 1e-6


def test_the_answer_is_forced_and_not_the_model_s_own(lm: LanguageModel) -> None:
    """The second token reads the gold first token, whatever the model would have said."""
    first, second = points(lm, QUESTIONS[0])
    if lm.architecture.encoder:
        assert first.ids == second.ids  # in parallel, one mask per piece
        assert first.position + 1 == second.position
    else:
        assert second.ids == (*first.ids, QUESTIONS[0].answer[0])
    assert [p.token for p in (first, second)] == list(QUESTIONS[0].answer)


def test_special_tokens_are_no_target_and_no_word(lm: LanguageModel) -> None:
    for question in QUESTIONS:
        assert len(points(lm, question)) == len(question.answer)
        places = {i for word in words(lm, question) for i in word}
        for point in points(lm, question):
            special = {i for i, t in enumerate(point.ids) if t in (tiny.BOS, tiny.EOS, tiny.MASK)}
            assert not places & special
            assert point.position not in places


def test_occlusion_hides_one_word_at_a_time(lm: LanguageModel) -> None:
    """The packed variants equal one full forward pass per hidden word."""
    question = QUESTIONS[2]
    hidden = words(lm, question)
    for point in points(lm, question):
        found = occlusion.occluded_values(lm, [point], [hidden])
        assert found.shape[1] == len(hidden) == (3 if not lm.architecture.encoder else 4)
        for i, word in enumerate(hidden):
            ids = torch.tensor([point.ids])
            ids[0, list(word)] = tiny.MASK if lm.architecture.encoder else tiny.EOS
            with torch.no_grad(), hooks.record(site_modules(lm, "hidden")) as values:
                lm.network(ids)
            plain = torch.stack([values[k][0, point.position] for k in range(lm.n_layers)])
            near = rounding(plain, tiny.DEPTH)
            torch.testing.assert_close(found[0, i], plain, rtol=0, atol=near)


def test_occlusion_adds_up_one_path_a_word(lm: LanguageModel) -> None:
    question = QUESTIONS[1]
    rule = quadrature.gauss_legendre(3)
    (found,) = gradients.integrated_gradients(
        lm, [question], baseline="occlusion", rule=rule, target="log_probability"
    )
    low = occlusion.occluded_values(lm, points(lm, question), [words(lm, question)])[0]
    single = [
        next(
            gradients.integrated_gradients(
                lm, [question], baseline="mean", rule=rule, target="log_probability", mean=one
            )
        )
        for one in low
    ]
    expected = torch.stack([s.scores for s in single]).sum(0)
    torch.testing.assert_close(found.scores, expected, rtol=0, atol=rounding(expected, DEPTH))


def test_a_switched_off_neuron_has_no_attribution_and_changes_the_others(lm: LanguageModel) -> None:
    rule, question = quadrature.gauss_legendre(3), QUESTIONS[1]
    keep = torch.ones(1, lm.n_layers, lm.n_neurons)
    keep[0, 0, :12] = 0
    plain, off = (
        next(
            gradients.integrated_gradients(
                lm, [question], baseline="zero", rule=rule, target="log_probability", keep=k
            )
        )
        for k in (None, keep)
    )
    assert float(off.scores[0, 0, :12].abs().max()) == 0
    assert float((off.scores - plain.scores)[0, 2].abs().max()) > 1e-4
    point = points(lm, question)[0]

    def change(x: Tensor) -> Tensor:
        at = (torch.arange(x.shape[1]) == point.position)[:, None]
        return torch.where(at, x * keep[0, 0], x)

    with torch.no_grad(), hooks.edit(site_modules(lm, "hidden"), {0: change}):
        logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
    assert float(off.value[0]) == pytest.approx(
        float(logits.log_softmax(-1)[point.token]), abs=rounding(logits, tiny.DEPTH)
    )


def test_methods_together_are_the_methods_alone(lm: LanguageModel) -> None:
    rule = quadrature.gauss_legendre(2)
    runs = {
        "ig": gradients.path_method(lm, baseline="zero", rule=rule, target="log_probability"),
        "slope": gradients.gradient_activation_method(target="log_probability"),
    }
    both = list(clean_pass.run_methods(lm, QUESTIONS, runs))
    alone = gradients.gradient_activation(lm, QUESTIONS, target="log_probability")
    scores, _, _ = all_of([part["slope"] for part in both])
    torch.testing.assert_close(scores, all_of(list(alone))[0])
    assert not torch.allclose(scores, all_of([part["ig"] for part in both])[0], rtol=0.05)


def test_value_times_gradient_is_the_slope_at_the_end_of_the_path(lm: LanguageModel) -> None:
    end = quadrature.Quadrature((1.0,), (1.0,))
    path = gradients.integrated_gradients(
        lm, QUESTIONS, baseline="zero", rule=end, target="log_probability"
    )
    slope = gradients.gradient_activation(lm, QUESTIONS, target="log_probability")
    found, expected = all_of(list(slope))[0], all_of(list(path))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding(expected, DEPTH))


def test_each_path_of_a_screen_is_integrated_by_its_rule(lm: LanguageModel) -> None:
    """With one word, a layer is a path: its scores are those of the rule that its change earns."""
    asked = [Question("a b c d", (9,), query=(2, 3)), Question("e f g", (8,), query=(2, 3))]
    full, middle = quadrature.radau(4), quadrature.radau(2)

    def scores(rule: quadrature.Quadrature, screen: Screen | None = None) -> Tensor:
        run = gradients.path_method(
            lm, baseline="occlusion", rule=rule, target="log_probability", screen=screen
        )
        found = clean_pass.run_methods(lm, asked, {"one": run}, by_words=True)
        return all_of([part["one"] for part in found])[0]

    alone = torch.stack([scores(rule) for rule in (quadrature.END, middle, full)])
    change = alone[0].abs().sum(2)[:, None]
    middling = float((change / change.sum((1, 2), keepdim=True)).median())
    screens = [Screen(share, middle) for share in (1e-9, middling / 8, middling / 2, 0.999)]
    for screen in screens:
        rank = screen.ranks(change)[:, 0]
        expected = alone.gather(0, rank[None, ..., None].expand(1, *alone.shape[1:]))[0]
        torch.testing.assert_close(
            scores(full, screen), expected, rtol=0, atol=rounding(expected, DEPTH)
        )
    ranks = torch.stack([screen.ranks(change) for screen in screens])
    assert set(ranks.flatten().tolist()) == {0, 1, 2}  # positive control: all rules were at work
    assert (alone[0] - alone[2]).abs().max() > 1e-3


def test_several_answers_to_one_prompt_are_each_attributed_as_alone(lm: LanguageModel) -> None:
    """They share one clean pass, whose points are repeated."""
    asked = [*QUESTIONS, *(Question("a b c d", (n,), query=(0, 7)) for n in (9, 12, 13))]

    def run(questions: list[Question]) -> Tensor:
        found = gradients.integrated_gradients(
            lm,
            questions,
            baseline="occlusion",
            rule=quadrature.radau(2),
            target="log_probability",
        )
        return all_of(list(found))[0]

    together = run(asked)
    alone = torch.cat([run([question]) for question in asked])
    torch.testing.assert_close(together, alone, rtol=0, atol=rounding(alone, DEPTH))
    assert (together[3] - together[4]).abs().max() > 0.01  # other answers, other scores


def test_order_and_company_do_not_matter(lm: LanguageModel) -> None:
    def run(questions: list[Question]) -> Tensor:
        return all_of(
            list(
                gradients.integrated_gradients(
                    lm,
                    questions,
                    baseline="occlusion",
                    rule=quadrature.gauss_legendre(2),
                    target="log_probability",
                )
            )
        )[0]

    together = run(QUESTIONS)
    near = rounding(together, DEPTH)
    torch.testing.assert_close(run(QUESTIONS[::-1]).flip(0), together, rtol=0, atol=near)
    alone = torch.cat([run([q]) for q in QUESTIONS])
    torch.testing.assert_close(alone, together, rtol=0, atol=near)


def test_no_hook_is_left_behind_after_an_error(lm: LanguageModel) -> None:
    wrong = Question("a b", (len(tiny.WORDS) + 5,), query=(0, 3))
    with pytest.raises((IndexError, RuntimeError)):
        list(gradients.gradient_activation(lm, [wrong], target="log_probability"))
    hooked = [m for m in lm.network.modules() if m._forward_pre_hooks or m._forward_hooks]
    assert not hooked


def test_a_mean_without_its_baseline_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="baseline 'mean' needs a mean"):
        gradients.path_method(lm, baseline="mean", rule=FINE, target="probability")


def test_scores_that_are_not_numbers_are_refused() -> None:
    lm = tiny.random_model("llama", seed=3)
    lm.head.weight[3] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinite; try model"):
        list(gradients.gradient_activation(lm, QUESTIONS, target="log_probability"))
