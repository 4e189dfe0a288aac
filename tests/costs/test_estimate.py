"""What a run costs: the formulas count what the code does, and grow as it does."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from neuron_atlas.costs import asking, devices, model_shape, settings, stages
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.devices import DEVICES
from neuron_atlas.costs.estimate import LIBRARIES, estimate
from neuron_atlas.costs.passes import Passes, Work
from neuron_atlas.costs.run_size import RunSize
from neuron_atlas.costs.settings import Settings
from neuron_atlas.pipeline import params
from repository import ROOT

SIZE = RunSize(languages=6, facts=308, relations=12, templates=4)
SHIPPED: dict[str, Any] = json.loads(
    files("neuron_atlas").joinpath("page/shipped_parameters.json").read_text("utf-8")
)
HOW = settings.of_sections(SHIPPED)


def given(model: str = "llama-2-7b", **changes: Any) -> Passes:
    return Passes(model_shape.of_config(KNOWN[model]), replace(SIZE, **changes))


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


def test_values_on_disk_are_those_that_are_recorded() -> None:
    """630 MB in the default run, whose model is Gemma 3 270M in float32."""
    size = replace(SIZE, right=0.44)
    one = Passes(model_shape.of_config(KNOWN["gemma-3-270m"]), size)
    found = stages.space("activations", one, HOW, number_bytes=4)
    assert found.disk == pytest.approx(630e6, rel=0.1)


def test_memory_is_that_which_a_stage_was_seen_to_take() -> None:
    """Stage `answers` with Gemma 3 270M in float32 held 1,817 MB at its largest."""
    one = given("gemma-3-270m")
    own = stages.space("answers", one, HOW, number_bytes=4)
    assert LIBRARIES + own.host + own.device + 4 * one.shape.parameters == pytest.approx(
        1817e6, rel=0.1
    )


def test_bad_counts_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="facts must be at least 1, got 0"):
        replace(SIZE, facts=0)
    with pytest.raises(ValueError, match="12 relations need as many facts"):
        replace(SIZE, facts=3)
    with pytest.raises(ValueError, match=r"right is a share in \[0, 1\], got 2"):
        replace(SIZE, right=2.0)
    with pytest.raises(ValueError, match=r"expected a device of laptop, .*h200, got 'tpu'"):
        devices.find("tpu")
    with pytest.raises(ValueError, match="expected at least one device, got 0"):
        estimate(given(), HOW, DEVICES["h100"], n_devices=0)
    with pytest.raises(ValueError, match=r"interference\.n_draws"):
        changed("interference", n_draws="many")


def test_this_machine_s_peak_can_be_measured() -> None:
    found = devices.measured(devices.find("laptop"), seconds=0.05)
    assert found.peak > 1e8
    assert found.compared > 1e6
    assert found.source == "measured on this machine"
    assert found.memory == devices.find("laptop").memory
