"""What a run costs: the formulas count what the code does, and grow as it does."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any
from unittest import mock

import pytest
import torch

from neuron_atlas.costs import asking, devices, model_shape, settings, stages
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.devices import DEVICES, FREE
from neuron_atlas.costs.estimate import LIBRARIES, estimate
from neuron_atlas.costs.passes import Passes, Work
from neuron_atlas.costs.run_size import RunSize
from neuron_atlas.costs.settings import Settings
from neuron_atlas.costs.space import space
from neuron_atlas.detectors.block_precision import MANY
from neuron_atlas.pipeline import params
from repository import ROOT

SIZE = RunSize(languages=6, facts=308, relations=12, templates=4)
SHIPPED: dict[str, Any] = json.loads(
    files("neuron_atlas").joinpath("page/shipped_parameters.json").read_text("utf-8")
)
HOW = settings.of_sections(SHIPPED)


def given(model: str = "llama-2-7b", **changes: Any) -> Passes:
    return Passes(model_shape.of_config(KNOWN[model]), sized(**changes))


def sized(**changes: Any) -> RunSize:
    return replace(SIZE, **changes)


def changed(section: str, **values: Any) -> Settings:
    return settings.of_sections(SHIPPED | {section: SHIPPED[section] | values})


def test_the_arms_of_the_default_run_are_counted() -> None:
    """148 arms on each question of a language with 12 relations, 106 with 6: the run's own."""
    assert asking.interference_arms(HOW, 12) == 148
    assert asking.interference_arms(HOW, 6) == 106


def test_every_stage_of_a_formula_is_one_of_the_pipeline() -> None:
    known = params.read_yaml(ROOT / "dvc.yaml")["stages"]
    assert set(stages.WORK) <= set(known)
    assert {name for name in stages.WORK if "matrix" in known[name]} == stages.PER_LANGUAGE


@pytest.mark.parametrize(
    "stage", sorted({*stages.WORK} - {"editing", "transfer", "language_specific"})
)
def test_twice_the_languages_are_twice_the_work(stage: str) -> None:
    """But where languages are compared with one another, or facts that several know are edited."""
    one, two = (stages.WORK[stage](given(languages=n), HOW) for n in (6, 12))
    factor = two.flops / one.flops if one.flops else two.compared / one.compared
    assert factor == pytest.approx(2, rel=0.35)


@pytest.mark.parametrize("stage", ["answers", "activations"])
def test_asking_grows_with_the_facts(stage: str) -> None:
    one, two = (stages.WORK[stage](given(facts=n), HOW) for n in (300, 600))
    assert two.flops == pytest.approx(2 * one.flops)


def test_from_many_prompts_of_a_block_on_a_value_is_sorted_and_not_compared() -> None:
    """A pair per prompt of the block below, a fixed cost per value above."""
    blocks, below, above = 4, MANY - 1, 4 * MANY
    assert asking._counted(below * blocks, blocks, 0) == below * blocks * blocks * (below + 1)
    each = asking._counted(above * blocks, blocks, 0) / (above * blocks)
    assert each == blocks * (asking.SORTED + 1) + asking.SORTING
    assert each < blocks * below


def test_ranking_compares_the_testing_half_in_all_templates() -> None:
    """Three of four select: the half that finds neurons has those alone."""
    one = given(templates=4)
    n, size = one.shape.all_neurons, one.size
    found = asking.relation_neurons(one, HOW).compared
    halves = ((size.selecting, 3 * size.with_sets), (size.held_out, 4 * size.with_sets))
    sums = 2 * HOW.relation_neurons.n_chimeras
    pairs = sum(prompts * (prompts + blocks + sums) for prompts, blocks in halves)
    assert found == pytest.approx(size.languages * n * pairs)


def test_ranking_is_linear_once_blocks_are_sorted() -> None:
    sizes = (100_000, 200_000)
    one, two = (asking.relation_neurons(given(facts=n), HOW).compared for n in sizes)
    assert two == pytest.approx(2 * one, rel=0.01)


@pytest.mark.parametrize(
    ("stage", "section", "less"),
    [
        ("answers", "recall", {"exact_ranks": 1}),
        ("recall", "recall", {"demonstrations": {"shots": 2, "blocks": 1}}),
        ("interference", "interference", {"n_draws": 5}),
        ("transfer", "interference", {"n_across_draws": 2}),
        ("attributions", "attributions", {"zero_steps": 1}),
        ("attributions", "attributions", {"steps": 3}),  # none have to be looked for
        ("attribution_methods", "attribution_methods", {"largest": 32}),
        ("selection", "selection", {"n_draws": 2}),
        ("language_specific", "language_specific", {"n_texts": 3}),
        ("editing", "editing", {"n_draws": 2}),
        ("cards", "cards", {"effect_facts": 1}),
    ],
)
def test_a_parameter_that_asks_for_less_costs_less(
    stage: str, section: str, less: dict[str, Any]
) -> None:
    formula = stages.WORK[stage]
    assert formula(given(), changed(section, **less)).flops < formula(given(), HOW).flops


def test_a_pass_costs_two_flops_per_weight_and_token() -> None:
    one = given()
    exact = one.tokens(1).body
    weights = one.shape.parameters - 2 * one.shape.embeddings
    assert 2 * weights < exact < 2.02 * weights


def test_arms_near_a_clean_row_save_the_vocabulary() -> None:
    """What a few arms pay in full, many share; with a soft cap all pay."""
    one = given("gemma-3-270m")
    many = one.asked(1, 100).head
    assert many < 20 * one.shape.head_row
    assert replace(one, softcap=True).asked(1, 100).head > 100 * one.shape.head_row


def test_work_adds_up_and_takes_time_on_a_device() -> None:
    work = Work(body=1e12, rows=2e12, head=3e12, compared=4e9)
    assert (work + work).flops == (work * 2).flops == 12e12
    device = replace(devices.find("laptop"), peak=1e12, body=0.5, rows=0.25, head=1.0, compared=1e9)
    assert device.seconds(work) == pytest.approx(2 + 8 + 3 + 4)


def test_what_does_not_fit_is_said() -> None:
    small = estimate(given(), HOW, DEVICES["h100"])
    assert small.verdict == "fits in 80 GiB"
    assert (small.needed, small.copies) == (1, 1)
    large = estimate(given("llama-2-70b"), HOW, DEVICES["h100"])
    assert not large.fits
    assert "does not fit in 1 x 80 GiB: needs device_map over" in large.verdict
    spread = estimate(given("llama-2-70b"), HOW, DEVICES["h100"], n_devices=8)
    assert spread.fits
    assert "needs device_map over" in spread.verdict
    assert spread.copies == 8 // spread.needed
    laptop = estimate(given(), HOW, DEVICES["laptop"])
    assert "needs a larger machine" in laptop.verdict


def test_copies_share_the_work_and_not_the_hours() -> None:
    one, eight = (estimate(given(), HOW, DEVICES["h100"], n_devices=n) for n in (1, 8))
    assert one.seconds > eight.seconds > one.seconds / 8
    assert eight.device_hours >= one.device_hours


def test_a_stage_without_a_model_takes_no_weights() -> None:
    """On a laptop they would not fit beside its scores, and need not."""
    how, laptop = changed("relation_neurons", n_chimeras=700), DEVICES["laptop"]
    one = given("gemma-3-270m")
    alone = space("relation_neurons", one, how, number_bytes=4).host
    free = LIBRARIES + alone + 1
    tight = estimate(one, how, replace(laptop, memory=free / FREE))
    assert tight.fits
    assert tight.host == tight.alone == LIBRARIES + alone
    short = estimate(one, how, replace(laptop, memory=(free - 2) / FREE))
    assert not short.fits
    assert "a stage that loads no model takes" in short.verdict


def test_the_memory_of_a_laptop_holds_weights_beside_the_stages_that_load_them() -> None:
    one = estimate(given(), HOW, DEVICES["laptop"])
    own = max(
        stage.space.host + stage.space.device
        for stage in one.stages
        if stage.stage not in stages.WITHOUT_MODEL
    )
    assert one.host == one.weights + own + LIBRARIES


def test_bad_counts_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="facts must be a finite number of at least 1, got 0"):
        sized(facts=0)
    for name in ("prompt_tokens", "answer_tokens", "candidate_tokens", "candidates"):
        for bad in (0, 0.5, -3.0, float("inf"), float("nan")):
            with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 1"):
                sized(**{name: bad})
    with pytest.raises(ValueError, match="12 relations need as many facts"):
        sized(facts=3)
    with pytest.raises(ValueError, match=r"right is a share in \[0, 1\], got 2"):
        sized(right=2.0)
    with pytest.raises(ValueError, match=r"expected a device of laptop, .*h200, got 'tpu'"):
        devices.find("tpu")
    with pytest.raises(ValueError, match="expected at least one device, got 0"):
        estimate(given(), HOW, DEVICES["h100"], n_devices=0)
    with pytest.raises(ValueError, match=r"interference\.n_draws"):
        changed("interference", n_draws="many")


def test_a_device_that_is_not_here_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="h100 cannot be measured: torch finds no CUDA device"):
        devices.measured(devices.find("h100"))


def test_this_machine_s_peak_can_be_measured() -> None:
    found = devices.measured(devices.find("laptop"), seconds=0.05)
    assert found.peak > 1e8
    assert found.compared > 1e6
    assert found.source == "measured on this machine"
    assert found.memory == devices.find("laptop").memory


def test_the_products_that_are_measured_are_those_of_the_stages() -> None:
    """Where a stage lets oneDNN multiply, torch's own choice can be less than half as fast."""
    before, seen = torch.get_float32_matmul_precision(), list[str]()
    product = torch.mm

    def watched(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_float32_matmul_precision())
        return product(a, b)

    amd = {"cpu_name": "AMD", "amx_bf16": False}
    with (
        mock.patch.object(torch.cpu, "get_capabilities", return_value=amd),
        mock.patch.object(torch.cuda, "is_available", return_value=False),
        mock.patch.object(torch, "mm", watched),
    ):
        devices.measured(devices.find("laptop"), seconds=0.01)
    assert set(seen) == {"medium"}
    assert torch.get_float32_matmul_precision() == before
