"""Controls of a set: matched in layer and strength, or directions; all of equal push."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as tr

import tiny
from clean_values import PROMPTS, clean, table
from neuron_atlas.arms import controls
from neuron_atlas.arms.arm import Arm, Scaled, edits
from neuron_atlas.arms.controls import Asked
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets

N_DRAWS = 20
BANNED = np.array([3, 30, 31])
OWN = Arm("set", "xx", "r", np.array([1, 7, 28, 40]), table="")  # layers 0 and 1
FOUND = RelationSets({"r": OWN.neurons}, np.ones((3, 24)), BANNED, "xx")


@pytest.fixture(scope="module", params=["llama", "gemma3_text"])
def asked(request: pytest.FixtureRequest) -> Asked:
    lm = tiny.random_model(request.param)
    return Asked("r", clean(lm), {"": table(lm)[0]}, ("test", "xx", "r"), seed=0)


def of_kind(asked: Asked, kind: str) -> list[Scaled]:
    if kind == "direction":
        return list(asked.directions(OWN, kind=kind, n_draws=N_DRAWS))
    draw = asked.push_matched if kind == "push_matched" else asked.size_matched
    return list(draw(OWN, FOUND, kind=kind, n_draws=N_DRAWS))


@pytest.mark.parametrize("kind", ["push_matched", "size_matched"])
def test_random_sets_lie_in_the_set_s_layers_and_hold_nothing_that_is_banned(
    asked: Asked, kind: str
) -> None:
    draws = of_kind(asked, kind)
    assert [one.arm.draw for one in draws] == list(range(N_DRAWS))
    for one in draws:
        np.testing.assert_array_equal(one.arm.neurons // 24, OWN.neurons // 24)
        assert len(set(one.arm.neurons.tolist())) == len(OWN.neurons)
        assert not np.isin(one.arm.neurons, [*BANNED, *OWN.neurons]).any()
    assert len({tuple(one.arm.neurons.tolist()) for one in draws}) > N_DRAWS / 2


def wide() -> LanguageModel:
    """Return a model of 500 neurons a layer: enough for near neighbours."""
    config = tr.LlamaConfig(**tiny.SMALL | {"intermediate_size": 500})
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = tr.LlamaForCausalLM(config)
    network = network.eval().requires_grad_(False)
    return LanguageModel(network, tiny.tokenizer(), architecture("llama"))


def test_push_matched_sets_match_in_strength_and_size_matched_ones_do_not() -> None:
    lm = wide()
    asked = Asked("r", clean(lm), {"": table(lm)[0]}, ("test",), seed=0)
    own = replace(OWN, neurons=np.array([10, 200, 510, 900]))
    found = RelationSets({"r": own.neurons}, np.ones((3, 500)), BANNED, "xx")
    near = mismatch(asked, own, asked.push_matched(own, found, kind="", n_draws=N_DRAWS))
    far = mismatch(asked, own, asked.size_matched(own, found, kind="", n_draws=N_DRAWS))
    assert near < 0.1
    assert far > 5 * near  # positive control: the sizes are all alike


def mismatch(asked: Asked, own: Arm, draws: Iterable[Scaled]) -> float:
    """Return the mean distance of log strength between a neuron and what stands for it."""
    logs = np.log(asked.clean.strength(asked.tables[""])).flatten()
    drawn = np.stack([one.arm.neurons for one in draws])
    return float(np.abs(logs[drawn] - logs[own.neurons]).mean())


def scaled(asked: Asked, planned: list[Scaled]) -> tuple[np.ndarray, np.ndarray]:
    prepared = edits([one.arm for one in planned], asked.tables)
    return controls.scaled(planned, prepared, asked.clean)


@pytest.mark.parametrize("kind", ["push_matched", "direction"])
def test_controls_push_as_hard_as_their_set_on_every_prompt(asked: Asked, kind: str) -> None:
    planned = [Scaled(OWN), *of_kind(asked, kind)]
    gains, pushes = scaled(asked, planned)
    assert gains.shape == pushes.shape == (1 + N_DRAWS, len(PROMPTS))
    assert (gains[0] == 1).all()
    assert np.ptp(gains[1:]) > 0.01
    reached = gains < 20
    assert reached.mean() > 0.9
    np.testing.assert_allclose(pushes[reached], (pushes[:1] * reached)[reached], rtol=1e-3)
    free = [replace(one, to=()) for one in planned]
    unscaled = scaled(asked, free)[1]
    assert np.abs(unscaled[1:] / unscaled[0] - 1).max() > 0.1  # positive control


def test_size_matched_sets_go_all_the_way(asked: Asked) -> None:
    gains, _ = scaled(asked, [Scaled(OWN), *of_kind(asked, "size_matched")])
    assert (gains == 1).all()


def test_an_arm_gets_the_least_push_of_several_times_its_alpha(asked: Asked) -> None:
    other = replace(OWN, relation="s", neurons=np.array([50, 51, 52, 53, 54, 55]))
    planned = [Scaled(OWN), Scaled(other)]
    planned += [Scaled(replace(arm, alpha=0.5), (OWN, other)) for arm in (OWN, other)]
    gains, pushes = scaled(asked, planned)
    np.testing.assert_allclose(pushes[2:], np.tile(pushes[:2].min(0) / 2, (2, 1)), rtol=1e-3)
    assert (gains[2:].min(0) < 1).all()


def test_directions_lie_in_the_set_s_layers_with_its_length(asked: Asked) -> None:
    moves = asked.clean.moves(edits([OWN], asked.tables))[0]
    lengths = moves.square().sum(-1).mean(-1).sqrt()
    assert (lengths > 0).tolist() == [True, True, False]
    drawn = of_kind(asked, "direction")
    for one in drawn:
        assert one.arm.added is not None
        assert not one.arm.neurons.size
        written = torch.stack(
            [own @ asked.clean.writing.columns(i) for i, own in enumerate(one.arm.added)]
        )
        torch.testing.assert_close(written.norm(dim=1), lengths, rtol=1e-3, atol=1e-5)
    first, second = drawn[0].arm.added, drawn[1].arm.added
    assert first is not None
    assert second is not None
    assert torch.nn.functional.cosine_similarity(first[0], second[0], dim=0).abs() < 0.9


def test_a_draw_depends_on_nothing_but_its_names(asked: Asked) -> None:
    """Fewer draws begin alike; another seed, relation or language draws others."""
    more = of_kind(asked, "push_matched")
    fewer = list(asked.push_matched(OWN, FOUND, kind="push_matched", n_draws=3))
    for a, b in zip(fewer, more, strict=False):
        np.testing.assert_array_equal(a.arm.neurons, b.arm.neurons)
    for other in (replace(asked, seed=1), replace(asked, names=("test", "yy", "r"))):
        drawn = of_kind(other, "push_matched")
        assert any((a.arm.neurons != b.arm.neurons).any() for a, b in zip(more, drawn, strict=True))


def test_other_relations_are_drawn_each_by_a_number_of_its_own(asked: Asked) -> None:
    names = [f"q{i}" for i in range(12)]
    drawn = asked.drawn("xx", ["r", *names], 4)
    assert len(drawn) == 4
    assert "r" not in drawn
    assert asked.drawn("xx", list(reversed(names)), 4) == drawn
    for extra in ("another", "one more", "yet another"):
        assert len(set(asked.drawn("xx", [*names, extra], 4)) - set(drawn)) <= 1
    assert any(asked.drawn(source, names, 4) != drawn for source in ("xy", "xz", "zz"))
