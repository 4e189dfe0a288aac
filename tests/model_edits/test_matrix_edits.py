"""FT-L and ROME: bounds, exact updates, and that nothing stays behind."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch

import tiny
from neuron_atlas.attributions.questions import Question, points
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model_edits import fine_tuning, key_covariance, rome
from neuron_atlas.model_edits.fine_tuning import change_bound, fine_tune
from neuron_atlas.model_edits.fit_prompts import (
    FitPrompts,
    first_token_gaps,
    subject_token,
)
from neuron_atlas.model_edits.key_covariance import KeyCovariance, covariances
from neuron_atlas.model_edits.sequences import Sequences, run_body
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import ValueEdit, applied, columns, layer_neurons
from rounding import rounding

FAMILIES = ("llama", "gemma3_text", "gpt2", "bert")
HOW = Descent(steps=8, rate=0.3, margin=2.0, max_norm=1.0)
LAYER, MAX_NORM = 1, 4.0


@pytest.fixture(scope="module", params=FAMILIES)
def one(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


def prompts(lm: LanguageModel) -> FitPrompts:
    """Three prompts of two facts: the subject is the second word, the new answer less likely."""
    found, subject = [], []
    for text, one, other in (("a b c", 7, 8), ("d b f g", 7, 8), ("j k c d", 11, 12)):
        (point,) = points(lm, Question(text, (one,)))
        with torch.no_grad():
            logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
        new, old = sorted((one, other), key=lambda token: float(logits[token]))
        found.append(point._replace(token=new, choices=(new, old)))
        row = {"prompt": text, "subject_start": 2, "subject_end": 3}
        subject.append(subject_token(lm, row, n_answer=1))
    fact, source = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    return FitPrompts(found, fact, source, torch.tensor(subject))


def covariance(lm: LanguageModel) -> KeyCovariance:
    texts = pd.DataFrame({"prompt": [" ".join("abcdefgh"[i:] + "klm") for i in range(8)]})
    return covariances(lm, {"xx": texts}, [LAYER], n_tokens=50, ridge=0.01)[LAYER]


@torch.no_grad()
def gaps(lm: LanguageModel, asked: FitPrompts) -> torch.Tensor:
    """Return log p(new) - log p(old) by one full forward a prompt."""
    found = []
    for point in asked.points:
        logits = lm.network(torch.tensor([point.ids])).logits[0, point.position]
        found.append(logits[point.choices[0]] - logits[point.choices[1]])
    return torch.stack(found)


def gains(lm: LanguageModel, asked: FitPrompts, changes: torch.Tensor) -> torch.Tensor:
    """Return by how much each prompt's new answer gains under its fact's real edit."""
    before, after = gaps(lm, asked), []
    for fact, change in enumerate(changes):
        with applied(lm, ValueEdit(layer_neurons(lm, LAYER), change)):
            after.append(gaps(lm, asked)[asked.fact == fact])
    return torch.cat(after) - before


def assert_clean(lm: LanguageModel, weights: dict[str, torch.Tensor]) -> None:
    for name, value in lm.network.state_dict().items():
        assert torch.equal(value, weights[name]), name
    for module in lm.network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in vars(module)


@pytest.fixture
def weights(one: LanguageModel) -> Iterator[dict[str, torch.Tensor]]:
    """Copies of the weights, which a test must leave as they are."""
    kept = {name: value.clone() for name, value in one.network.state_dict().items()}
    yield kept
    assert_clean(one, kept)


@pytest.mark.usefixtures("weights")
def test_fine_tuning_keeps_its_bound_and_succeeds(one: LanguageModel) -> None:
    asked = prompts(one)
    for share in (0.01, 0.3):
        found = fine_tune(one, asked, LAYER, HOW, max_change=share)
        bound = change_bound(one, LAYER, share)
        size = columns(one, LAYER).square().mean().sqrt()
        assert bound == pytest.approx(share * float(size), rel=1e-5)
        assert found.abs().max() <= bound
        assert found.abs().amax((1, 2)).min() > 0
        assert (gains(one, asked, found) > 0).all()
    tight = fine_tune(one, asked, LAYER, HOW.model_copy(update={"margin": 99.0}), max_change=0.01)
    assert (tight.abs() == change_bound(one, LAYER, 0.01)).double().mean() > 0.9


def test_a_fact_is_fine_tuned_alone_as_among_others(one: LanguageModel) -> None:
    asked = prompts(one)
    both = fine_tune(one, asked, LAYER, HOW, max_change=0.1)
    last = FitPrompts(asked.points[2:], torch.tensor([0]), asked.source[2:], asked.subject[2:])
    alone = fine_tune(one, last, LAYER, HOW, max_change=0.1)
    differ = (both[1:] - alone).abs() > 1e-6  # a slope near 0 may have either sign
    assert differ.double().mean() < 0.01


def test_an_update_of_rank_one_moves_its_key_and_no_other(one: LanguageModel) -> None:
    """Equation 2 of Meng et al.: exact for the key, nothing for keys that C tells apart from it."""
    c, rng = covariance(one), torch.Generator().manual_seed(0)
    key, width = torch.randn(2, one.n_neurons, generator=rng), columns(one, 0).shape[1]
    change = torch.randn(2, width, generator=rng)
    update = rome.rank_one(key, change, c)
    near = rounding(change, 2 * one.n_neurons)
    torch.testing.assert_close(torch.einsum("fn,fnd->fd", key, update), change, atol=near, rtol=0)
    for fact in range(2):
        whole = c.keys.double().T @ c.keys.double() / len(c.keys)
        whole += c.ridge * torch.eye(one.n_neurons, dtype=torch.float64)
        pull = torch.linalg.solve(whole, key[fact].double())  # the slow, obvious way
        torch.testing.assert_close(c.solve(key[fact : fact + 1])[0], pull, atol=1e-8, rtol=1e-6)
        other = torch.randn(one.n_neurons, generator=rng, dtype=torch.float64)
        other -= (other @ pull) / (pull @ pull) * pull  # k^T C^-1 k* = 0
        assert (other.float() @ update[fact]).abs().max() <= 10 * near
        assert torch.linalg.matrix_rank(update[fact].double(), rtol=1e-5) == 1
    assert not rome.rank_one(torch.zeros_like(key), change, c).any()


@pytest.mark.usefixtures("weights")
def test_rome_gives_the_subject_s_key_its_new_value(one: LanguageModel) -> None:
    asked, c = prompts(one), covariance(one)
    found = rome.edit_by_rome(one, asked, LAYER, c, HOW, max_norm=MAX_NORM)
    down = site_modules(one, "hidden")[LAYER][0]
    keys, moved = subject_keys(one, asked), []
    for fact in range(2):
        key = keys[asked.fact == fact].mean(0)[None]
        with applied(one, ValueEdit(layer_neurons(one, LAYER), found[fact])):
            after = down(key)[0]
        moved.append(after - down(key)[0])
        plain = key[0] @ columns(one, LAYER)
        assert 0 < moved[fact].norm() <= MAX_NORM * plain.norm() * (1 + 1e-4)
    batch, before = Sequences.of([p.ids for p in asked.points], one.device), gaps(one, asked)
    with rome.hooks.edit(rome._written(one, LAYER), {0: rome._added(asked, torch.stack(moved))}):
        better = first_token_gaps(one, asked.points, run_body(one, batch)) - before
    total = torch.zeros(2).index_add_(0, asked.fact, better)
    assert (total > 0.1).all()  # where it was fitted, the new value works


@torch.no_grad()
def subject_keys(lm: LanguageModel, asked: FitPrompts) -> torch.Tensor:
    """Return what the down-projection reads at the subjects, by one forward a prompt."""
    found: list[torch.Tensor] = []
    module = site_modules(lm, "hidden")[LAYER][0]
    for point, place in zip(asked.points, asked.subject.tolist(), strict=True):
        handle = module.register_forward_pre_hook(
            lambda _module, args, place=place: found.append(args[0][0, place].clone())
        )
        lm.network(torch.tensor([point.ids]))
        handle.remove()
    return torch.stack(found)


def test_the_value_that_is_fitted_acts_at_the_subject_alone(one: LanguageModel) -> None:
    """Its loss is what full forwards see with the value added there by hand."""
    asked = prompts(one)
    batch = Sequences.of([p.ids for p in asked.points], one.device)
    delta = torch.randn(2, columns(one, 0).shape[1], generator=torch.Generator().manual_seed(1))
    with rome.hooks.edit(rome._written(one, LAYER), {0: rome._added(asked, delta)}):
        found = first_token_gaps(one, asked.points, run_body(one, batch))
    module, expected = site_modules(one, "hidden")[LAYER][0], []
    for i, (point, place) in enumerate(zip(asked.points, asked.subject.tolist(), strict=True)):

        def add(
            _module: object, _args: object, output: torch.Tensor, i: int = i, place: int = place
        ) -> torch.Tensor:
            output = output.clone()
            output[:, place] += delta[int(asked.fact[i])]
            return output

        handle = module.register_forward_hook(add)
        with torch.no_grad():
            logits = one.network(torch.tensor([point.ids])).logits[0, point.position]
        handle.remove()
        expected.append(logits[point.choices[0]] - logits[point.choices[1]])
    torch.testing.assert_close(found, torch.stack(expected), atol=2e-4, rtol=1e-4)
    assert (found - gaps(one, asked)).abs().max() > 0.01  # positive control


@pytest.mark.usefixtures("weights")
def test_nothing_stays_behind_after_an_error(
    one: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, c = prompts(one), covariance(one)

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(rome, "first_token_gaps", broken)
    with pytest.raises(RuntimeError, match="stop"):
        rome.edit_by_rome(one, asked, LAYER, c, HOW, max_norm=MAX_NORM)
    monkeypatch.setattr(fine_tuning, "loss_and_slope", broken)
    with pytest.raises(RuntimeError, match="stop"):
        fine_tune(one, asked, LAYER, HOW, max_change=0.1)
    whole = ValueEdit(layer_neurons(one, LAYER), torch.ones(one.n_neurons, 16))
    with pytest.raises(RuntimeError, match="stop"), applied(one, whole):
        raise RuntimeError("stop")


def test_keys_are_those_of_all_tokens_but_the_first() -> None:
    lm = tiny.random_model("llama")
    texts = {
        "xx": pd.DataFrame({"prompt": ["a b c", "d e"]}),
        "yy": pd.DataFrame({"prompt": ["f"]}),
    }
    found = covariances(lm, texts, [0, LAYER], n_tokens=99, ridge=0.5)
    assert found[LAYER].keys.shape == (6, lm.n_neurons)  # each text has a first token of its own
    assert found[LAYER].ridge == pytest.approx(0.5 * float(found[LAYER].keys.square().mean()))
    few = covariances(lm, texts, [LAYER], n_tokens=4, ridge=0.5)[LAYER]
    torch.testing.assert_close(few.keys, found[LAYER].keys[:4])
    spread = key_covariance._spread([str(i) for i in range(9)])
    assert sorted(spread) == sorted(map(str, range(9)))
    assert spread[:3] == ["0", "8", "4"]
    some = {"xx": texts["xx"].iloc[:0], "yy": texts["yy"]}  # a language without facts
    nobody = covariances(lm, some, [0], n_tokens=9, ridge=1.0)
    assert np.isfinite(nobody[0].ridge)
