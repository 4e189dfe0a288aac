"""What stages take is what their code holds: counted there where it can be, else as it was seen."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import torch

import selecting
import tiny
from neuron_atlas.activations.files import Recorded
from neuron_atlas.activations.neuron_blocks import BYTES, STEP, neuron_blocks
from neuron_atlas.arms import replacements
from neuron_atlas.arms.push import Writing
from neuron_atlas.costs import model_shape, settings
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.estimate import LIBRARIES
from neuron_atlas.costs.passes import Passes
from neuron_atlas.costs.run_size import SELECTING, RunSize
from neuron_atlas.costs.space import ARMS, DIRECTIONS, INSTALLING, SHARED, _block, _values, space
from neuron_atlas.detectors import probe
from neuron_atlas.relation_neurons import score_files
from neuron_atlas.relation_neurons.scores import ScoredSource

SIZE = RunSize(languages=6, facts=308, relations=12, templates=4)
SHIPPED: dict[str, Any] = json.loads(
    files("neuron_atlas").joinpath("page/shipped_parameters.json").read_text("utf-8")
)
HOW = settings.of_sections(SHIPPED)


def given(model: str = "llama-2-7b", **changes: Any) -> Passes:
    return Passes(model_shape.of_config(KNOWN[model]), replace(SIZE, **changes))


def test_values_on_disk_are_those_that_are_recorded() -> None:
    """630 MB in the default run, whose model is Gemma 3 270M in float32."""
    found = space("activations", given("gemma-3-270m", right=0.44), HOW, number_bytes=4)
    assert found.disk == pytest.approx(630e6, rel=0.1)


@pytest.mark.parametrize(
    ("stage", "seen"),
    [
        *(("answers", 1.3e6), ("recall", 1.77e6), ("interference", 1.64e6), ("cards", 9.94e6)),
        *(("activations", 660e6), ("attributions", 1.8e6), ("language_specific", 2.84e6)),
        ("relation_neurons", 223e6),  # 1.8 MB of it are outputs
    ],
)
def test_disk_is_that_which_the_default_run_took(stage: str, seen: float) -> None:
    found = space(stage, given("gemma-3-270m"), HOW, number_bytes=4)
    assert found.disk == pytest.approx(seen, rel=0.4)


def test_memory_is_that_which_a_stage_was_seen_to_take() -> None:
    """Stage `answers` with Gemma 3 270M in float32 held 1,817 MB at its largest."""
    one = given("gemma-3-270m")
    own = space("answers", one, HOW, number_bytes=4)
    whole = LIBRARIES + own.host + own.device + 4 * one.shape.parameters
    assert whole == pytest.approx(1817e6, rel=0.1)


def test_a_layer_s_columns_are_made_in_float32_where_weights_are_smaller() -> None:
    one = given()
    columns = one.shape.d_model * one.shape.neurons
    for name in ARMS:
        narrow, wide = (space(name, one, HOW, number_bytes=n) for n in (2, 4))
        batches = [space("answers", one, HOW, number_bytes=n).device for n in (2, 4)]
        beside = narrow.device - batches[0] - (wide.device - batches[1])
        assert beside == pytest.approx(4 * columns)


def test_directions_take_a_matrix_per_layer_in_the_host_s_memory() -> None:
    """The matrices of a real model, by what its code keeps."""
    lm = tiny.random_model("llama")
    grams = Writing(lm, "hidden")._grams
    shape = model_shape.of_config(lm.network.config.to_dict())
    one = Passes(shape, SIZE)
    held = sum(gram.numel() * gram.element_size() for gram in grams)
    host = {name: space(name, one, HOW, number_bytes=4).host - _values(name, one) for name in ARMS}
    for name in DIRECTIONS:
        assert host[name] - host["transfer"] == pytest.approx(held)


@pytest.mark.parametrize("facts", [20, 308, 30_000])
def test_values_of_prompts_are_held_up_to_their_bounds(facts: int) -> None:
    one = given(facts=facts)
    size, prompt = one.size, 4 * one.shape.all_neurons
    most = min(replacements.PROMPTS, replacements.HELD // (size.with_sets * prompt))
    own = min(size.selecting, size.with_sets * most)
    installed = size.with_sets * min(size.selecting, most)
    for name in ("interference", "transfer"):
        assert _values(name, one) == pytest.approx(own * prompt)
    assert _values("sufficiency", one) == pytest.approx(installed * prompt)
    assert _values("other_selectors", one) == pytest.approx((own + installed) * prompt)
    assert all(_values(name, one) <= 2 * replacements.HELD for name in ARMS)


@pytest.mark.parametrize("in_all", [False, True])
@pytest.mark.parametrize("n", [30, 400])
def test_as_many_are_held_as_the_code_reads(n: int, *, in_all: bool) -> None:
    """Of relations with equally many right prompts."""
    relations = [f"r{i}" for i in range(3)]
    rows = [(f"{r}:{i}", r, 0, "select", True) for r in relations for i in range(n)]
    names = ["fact", "relation", "template", "template_role", "correct"]
    index = pd.DataFrame(rows, columns=names).assign(
        split="identification", answer_split="identification"
    )
    values = mock.create_autospec(Recorded, instance=True, index=index, n_layers=1)
    values.n_neurons.return_value = 1
    values.block.side_effect = lambda _layer, rows, _some: torch.zeros(len(rows), 1)
    read = replacements.selecting_values(values, relations, in_all=in_all)
    size = RunSize(1, round(3 * n / SELECTING), 3, 1, right=1.0, eligible=1.0)
    one = Passes(replace(given().shape, layers=1, neurons=1), size)
    held = _values("sufficiency", one) / 3 if in_all else _values("interference", one)
    assert held / 4 == pytest.approx(sum(map(len, read.values())), abs=len(relations))


def test_a_block_is_no_larger_than_a_layer_and_no_narrower_than_its_step() -> None:
    one = given()
    for rows in (300, 100_000, 10_000_000):
        first = next(neuron_blocks(rows, one.shape.neurons))
        read = 8 * rows * (first.stop - first.start)
        assert read <= _block(one, rows) < read + 8 * rows * STEP
    assert _block(one, 300) < BYTES < _block(one, 10_000_000)
    assert _block(one, 262_144) == BYTES  # the prompts up to which a block takes no more


def test_ranking_takes_the_probe_s_matrices_up_to_their_bound() -> None:
    """Of so few neurons that nothing else counts: four in float64, of at most 4,096 prompts."""
    for facts, fitted in ((1000, 1000 * 3 * 0.43 * SELECTING), (100_000, probe.MOST)):
        one = given(facts=facts)
        one = replace(one, shape=replace(one.shape, layers=1, neurons=1))
        found = space("relation_neurons", one, HOW, number_bytes=4).host
        assert found == pytest.approx(4 * 8 * fitted**2, rel=0.02)


def test_the_numbers_that_are_kept_grow_with_the_templates() -> None:
    one, two = (space("relation_neurons", given(templates=t), HOW, number_bytes=2) for t in (4, 9))
    assert two.host / one.host == pytest.approx((3 + 8) / (3 + 3), rel=0.1)


def test_remembered_scores_stay_on_disk(tmp_path: Path) -> None:
    """A relation's scores, its gaps and the probe, by the file that the stage's code writes."""
    scored = replace(selecting.scoring(240, 512, 2)(), probe=torch.zeros(2, 1, 512))
    null = pd.DataFrame({"score": [0.0]})
    score_files.write(tmp_path / "scores", ScoredSource(scored, null))
    size = RunSize(1, 40, 2, 3, eligible=1.0)
    chimeras = round(len(scored.chimeras.names) / SHARED)
    plan = HOW.relation_neurons.model_copy(update={"n_chimeras": chimeras})
    one = Passes(replace(given().shape, layers=1, neurons=512), size)
    how = replace(HOW, relation_neurons=plan)
    said = space("relation_neurons", one, how, number_bytes=4).disk
    assert said == pytest.approx((tmp_path / "scores").stat().st_size, rel=0.2)


def test_installing_stages_hold_more_values() -> None:
    assert INSTALLING < ARMS
    assert _values("sufficiency", given()) > _values("interference", given())
